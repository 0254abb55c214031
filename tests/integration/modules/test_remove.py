# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting a disk: what goes, what stays, and what is said of it."""

from __future__ import annotations

import json

import pytest

STEPS = ("see", "finished", "renamed", "edited", "removed")


def _journal(disk, **steps):
    """As a killed job leaves it beside the disk."""
    path = disk.with_name(f"{disk.name}.vdisk-journal")
    path.write_text(json.dumps({step: steps.get(step, []) for step in STEPS}))
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("removed", [[], ["web01-flat.vmdk", "web01.vmdk"]])
def test_check_mode_leaves_an_interrupted_job_alone(
    modules, make_disk, tmp_path, digest_of_tree, removed
):
    disk = make_disk("web01.vmdk", "monolithicFlat")
    _journal(disk, removed=removed)
    before = digest_of_tree(tmp_path)
    assert modules.run("vmdk_create", check_mode=True, path=disk, state="absent")["changed"]
    assert digest_of_tree(tmp_path) == before
    assert modules.vmdk_create(path=disk, state="absent")["changed"]
    assert list(tmp_path.iterdir()) == []
    assert not modules.vmdk_create(path=disk, state="absent")["changed"]


@pytest.fixture
def half_committed(modules, disk, tmp_path):
    """A child of which a part is in its parent already."""
    child = tmp_path / "child.vmdk"
    modules.vmdk_snapshot(path=disk, child=child)
    modules.vmdk_data(path=child, content="written to the child")
    disk.with_name("web01.vmdk.vdisk-commit").write_text("child.vmdk")
    return child


def test_child_in_the_middle_of_its_commit_stays(modules, half_committed, disk):
    for check_mode in (True, False):
        failed = modules.fail("vmdk_create", check_mode, path=half_committed, state="absent")
        assert f"without it, {disk} is neither what it was" in failed["msg"]
        assert "Finish the commit" in failed["msg"]
    assert modules.vmdk_snapshot(path=disk, child=half_committed, state="absent")["changed"]


def test_force_says_what_goes_with_it(modules, half_committed, disk):
    wanted = {"path": half_committed, "state": "absent", "force": True}
    for check_mode in (True, False):
        (warning,) = modules.run("vmdk_create", check_mode, **wanted)["warnings"]
        assert f"the content of {disk} is lost" in _text(warning)
    assert not half_committed.exists()


def _text(warning):
    """Newer versions of Ansible put more around it."""
    return warning if isinstance(warning, str) else json.dumps(warning)


def test_a_copy_beside_it_is_no_other_user_of_the_file(modules, disk, tmp_path):
    copy = tmp_path / "before-the-upgrade.vmdk"
    copy.write_bytes(disk.read_bytes())  # its descriptor still names web01.vmdk
    assert modules.vmdk_create(path=disk, state="absent")["removed"] == [str(disk)]
    assert modules.vmdk_info(path=copy)["disk"]["flags"] == []
