# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode writes nothing, not even a time stamp, and says what the real run will say."""

from __future__ import annotations

import pytest


@pytest.fixture
def calls(modules, make_disk, repository, tmp_path):
    """(module, arguments) of one life of a disk, in order; later ones need the earlier."""
    make_disk("web01.vmdk")
    path = {"path": tmp_path / "web01.vmdk"}
    copy = tmp_path / "copy.vmdk"
    return [
        ("vmdk_create", {"path": tmp_path / "new.vmdk", "size": "3GiB"}),
        ("vmdk_create", {"path": tmp_path / "new.vmdk", "size": "4GiB"}),
        ("vmdk_create", {"path": tmp_path / "new.vmdk", "metadata": {"comment": "mine"}}),
        ("vmdk_create", {"path": tmp_path / "new.vmdk", "state": "absent"}),
        ("vmdk_info", {**path, "digest": True, "partitions": True}),
        ("vmdk_clone", {"src": path["path"], "dest": copy, "disk_type": "vmfs"}),
        ("vmdk_clone", {"src": path["path"], "dest": tmp_path / "c.vmdk", "linked": True}),
        ("vmdk_convert", {"path": copy, "disk_type": "twoGbMaxExtentSparse"}),
        ("vmdk_repository", {"url": tmp_path / "second", "passphrase": "x"}),
        ("vmdk_backup", {**path, **repository}),
        ("vmdk_backup", {**path, "name": "first", **repository}),
        ("vmdk_backup", {**path, "max_age": "1h", **repository}),
        ("vmdk_backup_info", repository),
        ("vmdk_restore", {"restore_point": "web01@first", "dest": tmp_path / "r", **repository}),
        ("vmdk_repository", {"url": tmp_path / "second", "passphrase": "x", "state": "absent"}),
    ]


def timeless(tree):
    """A real run may have come and gone in a folder, such as the repository's tmp."""
    return [(path, mode, size, content) for path, mode, size, _time, content in tree]


def test_check_mode(modules, calls, tmp_path, digest_of_tree):
    for module, arguments in calls:
        before = digest_of_tree(tmp_path)
        foretold = modules.run(module, check_mode=True, **arguments)
        assert digest_of_tree(tmp_path) == before, f"{module} {arguments} wrote in check mode"
        done = modules.run(module, **arguments)
        assert done["changed"] == foretold["changed"], f"{module} {arguments}"
        assert ("diff" in done) == done["changed"]
        after = digest_of_tree(tmp_path)
        assert (after != before) == done["changed"], f"{module} {arguments}"
        if arguments.get("state") != "absent":
            again = modules.run(module, **arguments)
            assert not again["changed"], f"second run of {module} {arguments}"
            settled = digest_of_tree(tmp_path)
            assert timeless(settled) == timeless(after)
            assert not modules.run(module, check_mode=True, **arguments)["changed"]
            assert digest_of_tree(tmp_path) == settled


def test_diff_shows_what_changes(modules, disk):
    told = modules.run("vmdk_create", check_mode=True, path=disk, size="64MiB")
    assert told["diff"]["before"]["size"] == 40 << 20
    assert told["diff"]["after"]["size"] == 64 << 20
