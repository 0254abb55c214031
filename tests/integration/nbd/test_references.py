# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""nbd:// wherever a module takes a disk."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read


@pytest.fixture
def writable(start):
    """A larger, empty disk."""
    return start("nbdkit", "memory", "8M")


def test_info(modules, start, sample):
    server = start("nbdkit", "-r", "file", sample[0])
    found = modules.vmdk_info(path=server.uri, digest=True, blocks=True)["disk"]
    here = modules.vmdk_info(path=sample[0], digest=True, blocks=True)["disk"]
    assert (found["path"], found["disk_type"]) == (server.uri, "raw")
    assert [found[key] for key in ("size", "digest", "blocks")] == [
        here[key] for key in ("size", "digest", "blocks")
    ]


def test_clone_from(modules, start, sample, tmp_path):
    uri = start("nbdkit", "-r", "file", sample[0]).uri
    dest = tmp_path / "cloned.vmdk"
    done = modules.vmdk_clone(src=uri, dest=dest, disk_type="streamOptimized", verify=True)
    assert done["transfer"]["transport"] == "nbd"
    assert not modules.vmdk_clone(src=uri, dest=dest, disk_type="streamOptimized")["changed"]


def test_clone_to(modules, writable, sample):
    foretold = modules.attempt("vmdk_clone", src=sample[0], dest=writable.uri, check_mode=True)
    assert "differs from the source" in foretold["msg"] and "force" in foretold["msg"]
    arguments = {"src": sample[0], "dest": writable.uri, "force": True, "verify": True}
    assert modules.run("vmdk_clone", check_mode=True, **arguments)["changed"]
    with writable.open() as disk:
        assert not any(read(disk, 0, disk.size))
    done = modules.vmdk_clone(**arguments)
    assert done["transfer"]["transport"] == "nbd"
    with writable.open() as disk:
        assert read(disk, 0, len(sample[1])) == sample[1]
    assert not modules.vmdk_clone(**arguments)["changed"]


def test_clone_to_what_cannot_be_written(modules, start, sample):
    small, sealed = start("nbdkit", "memory", "1M"), start("nbdkit", "-r", "memory", "8M")
    arguments = {"src": sample[0], "force": True, "check_mode": True}
    assert "too small" in modules.fail("vmdk_clone", dest=small.uri, **arguments)["msg"]
    assert "nobody write" in modules.fail("vmdk_clone", dest=sealed.uri, **arguments)["msg"]


def test_back_up_and_restore(modules, start, writable, sample, repository):
    uri = start("nbdkit", "-r", "file", sample[0]).uri
    assert modules.vmdk_backup(path=uri, name="first", **repository)["changed"]
    assert not modules.vmdk_backup(path=uri, name="first", **repository)["changed"]
    assert not modules.vmdk_backup(path=uri, **repository)["changed"]
    for delta in (False, True):
        with writable.open(writable=True) as disk:
            disk.write(1 << 20, b"x" * 100_000)
        arguments = {"restore_point": "nbd@latest", "dest": writable.uri, "delta": delta}
        assert modules.vmdk_restore(**arguments, force=True, **repository)["changed"]
        with writable.open() as disk:
            assert read(disk, 0, len(sample[1])) == sample[1]
        assert not modules.vmdk_restore(**arguments, **repository)["changed"]


def test_data(modules, writable):
    done = modules.vmdk_data(path=writable.uri, offset=1000, content="hello")
    assert done["changed"] and done["bytes_written"] == 5
    assert not modules.vmdk_data(path=writable.uri, offset=1000, content="hello")["changed"]
    assert modules.vmdk_data(path=writable.uri, offset=998, length=9)["content"] == "\0\0hello\0\0"


def test_export_of_an_export(modules, start, sample, served):
    assert (
        modules.vmdk_info(path=served(path=start("nbdkit", "file", sample[0]).uri), digest=True)[
            "disk"
        ]["digest"]
        == modules.vmdk_info(path=sample[0], digest=True)["disk"]["digest"]
    )


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("vmdk_create", {"size": "1GiB"}),
        ("vmdk_create", {"state": "absent"}),
        ("vmdk_resize", {"size": "1GiB"}),
        ("vmdk_convert", {"disk_type": "monolithicFlat"}),
        ("vmdk_defragment", {}),
        ("vmdk_shrink", {}),
        ("vmdk_check", {}),
        ("vmdk_snapshot", {}),
        ("vmdk_rename", {"dest": "/tmp/there.vmdk"}),
    ],
)
def test_what_is_not_for_served_disks(modules, module, arguments):
    """One clear refusal, before anybody is connected to."""
    place = {"src" if module == "vmdk_rename" else "path": "nbd://localhost:1/disk.vmdk"}
    assert "read and written, and nothing else" in modules.fail(module, **place, **arguments)["msg"]
