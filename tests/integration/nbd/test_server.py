# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vmdk_export serves, in the eyes of libnbd and qemu."""

from __future__ import annotations

import json
import subprocess
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.tests.integration.nbd.conftest import need


def run(*argv):
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


every_type = pytest.mark.parametrize(
    "disk", ["monolithicSparse", "twoGbMaxExtentFlat", "streamOptimized"], indirect=True
)


@pytest.fixture
def disk(request, modules, sample, tmp_path):
    path = tmp_path / "web01.vmdk"
    disk_type = getattr(request, "param", "monolithicSparse")
    modules.vmdk_clone(src=sample[0], dest=path, disk_type=disk_type)
    return path


@every_type
def test_reading(served, disk, sample, tmp_path):
    need("nbdcopy", "qemu-img")
    uri = served(path=str(disk), name="web 01/x")
    assert run("qemu-img", "compare", "-f", "raw", uri, sample[0]).startswith("Images are id")
    run("nbdcopy", "--connections=4", uri, tmp_path / "copied")
    assert (tmp_path / "copied").read_bytes() == sample[1]


@every_type
def test_holes(served, disk):
    """nbdinfo --map, against what our own engine knows of the disk."""
    need("nbdinfo")
    uri = served(path=str(disk))
    with open_disk(str(disk)) as opened:
        expected = [(run.offset, run.length, run.kind is Kind.ZERO) for run in opened.extents()]
    told = json.loads(run("nbdinfo", "--map", "--json", uri))
    assert [(x["offset"], x["length"], x["type"] == 3) for x in told] == expected


def test_what_is_offered(served, disk):
    need("nbdinfo")
    uri = served(path=str(disk), name="web01")
    listed = json.loads(run("nbdinfo", "--list", "--json", uri))["exports"]
    assert [export["export-name"] for export in listed] == ["web01"]
    facts = listed[0]
    assert facts["is_read_only"] and facts["can_multi_conn"] and facts["can_flush"]
    assert facts["export-size"] == 6 << 20
    assert facts["contexts"] == ["base:allocation"]


def test_writing(served, modules, disk, tmp_path):
    """nbdcopy over four connections, qemu-io, then the disk in the eyes of qemu."""
    need("nbdcopy", "qemu-io", "qemu-img")
    content = bytearray(Random(3).randbytes(6 << 20))
    content[1 << 20 : 3 << 20] = bytes(2 << 20)
    (tmp_path / "new").write_bytes(content)
    socket = tmp_path / "w.sock"
    uri = served(path=str(disk), read_only=False, socket=str(socket))
    run("nbdcopy", "--connections=4", "--flush", tmp_path / "new", uri)
    run(
        "qemu-io", "-f", "raw", "-c", "write -P 7 1000 300000", "-c", "write -f -P 8 5M 64k",
        "-c", "write -z 512 4096", "-c", "write -zu 4M 1M", "-c", "discard 5M 4k",
        "-c", "flush", uri,
    )  # fmt: skip
    content[1000:301_000] = b"\7" * 300_000
    content[5 << 20 : (5 << 20) + 65_536] = b"\10" * 65_536
    content[512:4608] = bytes(4096)
    content[4 << 20 : 5 << 20] = bytes(1 << 20)
    content[5 << 20 : (5 << 20) + 4096] = bytes(4096)  # that is what trimming means here
    modules.vmdk_export(socket=socket, state="stopped")
    (tmp_path / "expected").write_bytes(content)
    done = run("qemu-img", "compare", "-f", "vmdk", "-F", "raw", disk, tmp_path / "expected")
    assert "identical" in done
    assert modules.vmdk_check(path=disk)["findings"] == []


def test_qemu_converts_from_it(served, disk, sample, tmp_path):
    need("qemu-img")
    run("qemu-img", "convert", "-O", "qcow2", served(path=str(disk)), tmp_path / "x.qcow2")
    done = run("qemu-img", "compare", "-F", "raw", tmp_path / "x.qcow2", sample[0])
    assert "identical" in done


def test_many_clients_at_once(served, disk, sample):
    need("nbdcopy")
    uri = served(path=str(disk))
    argv = ["nbdcopy", "--connections=2", uri, "-"]
    clients = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _number in range(6)]
    for client in clients:
        assert client.communicate()[0] == sample[1]
