# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_prune: what goes, what stays and why, and the space that comes back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def overwrite(path, offset, data, length="1M"):
    """Change a disk as a guest would, with qemu-io."""
    command = f"write -P {data} {offset} {length}"
    subprocess.run(
        ["qemu-io", "-f", "vmdk", "-c", command, str(path)], check=True, capture_output=True
    )


@pytest.fixture
def points(modules, disk, repository, content_by_qemu):
    """Three restore points by their names, and what qemu saw when each was made."""
    seen = {}
    for number, name in enumerate(("one", "two", "three")):
        overwrite(disk, number << 20, number + 1)
        seen[name] = content_by_qemu(disk)
        modules.vmdk_backup(path=disk, name=name, **repository)
    return seen


def stored(repository):
    folder = Path(repository["repository"])
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def names(result, kind):
    return [entry["name"] for entry in result[kind]]


def foretold(modules, **arguments):
    """Check mode says what then happens."""
    before = modules.run("vmdk_prune", check_mode=True, **arguments)
    done = modules.vmdk_prune(**arguments)
    for key in ("changed", "kept", "dropped", "collected", "diff"):
        assert before.get(key) == done.get(key)
    return done


def test_keep_last_and_the_space_comes_back(modules, repository, points, tmp_path, content_by_qemu):
    rules = {"keep_last": 1, "grace": "0s", **repository}
    first = foretold(modules, **rules)
    assert names(first, "dropped") == ["one", "two"]
    assert names(first, "kept") == ["three"]
    assert first["dropped"][0]["reasons"] == ["not among the last 1"]
    assert first["diff"]["after"]["dropped"]
    assert first["collected"]["condemned"] > 0
    before = stored(repository)
    second = foretold(modules, **rules)
    assert second["collected"]["deleted"] == first["collected"]["condemned"]
    assert before - stored(repository) >= second["collected"]["deleted_bytes"]
    assert not foretold(modules, **rules)["changed"]
    dest = tmp_path / "back.vmdk"
    modules.vmdk_restore(restore_point="web01@three", dest=dest, **repository)
    assert content_by_qemu(dest) == points["three"]


def test_a_second_run_within_the_grace_changes_nothing(modules, repository, points):
    rules = {"keep_last": 2, **repository}
    assert foretold(modules, **rules)["changed"]
    again = foretold(modules, **rules)
    assert not again["changed"]
    assert "until 20" in again["collected"]["waiting"][0]


def test_hold_release_and_drop(modules, repository, points):
    held = foretold(modules, hold=["web01@one"], hold_reason="audit 2026", **repository)
    assert held["changed"]
    assert not foretold(modules, hold=["web01@one"], **repository)["changed"]
    kept = foretold(modules, keep_last=1, **repository)
    assert names(kept, "kept") == ["one", "three"]
    assert kept["kept"][0]["reasons"] == ["held: audit 2026"]
    refused = modules.fail("vmdk_prune", drop=["web01@one"], **repository)
    assert "held: audit 2026" in refused["msg"]
    gone = foretold(modules, release=["web01@one"], drop=["web01@one"], **repository)
    assert names(gone, "dropped") == ["one"]
    again = foretold(modules, release=["web01@one"], drop=["web01@one"], **repository)
    assert not again["changed"]


def test_compaction(modules, disk, repository, tmp_path, content_by_qemu):
    modules.vmdk_backup(path=disk, name="old", **repository)
    overwrite(disk, 1 << 20, 0, "39M")
    content = content_by_qemu(disk)
    modules.vmdk_backup(path=disk, name="new", **repository)
    rules = {"keep_last": 1, "compact": 50, "grace": "0s", **repository}
    first = modules.vmdk_prune(**rules)
    assert first["compacted"]["points"] == 1
    modules.vmdk_prune(**rules)
    assert not foretold(modules, **rules)["changed"]
    modules.vmdk_restore(restore_point="web01@new", dest=tmp_path / "back.vmdk", **repository)
    assert content_by_qemu(tmp_path / "back.vmdk") == content


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("keep_last", -1, "keep_last"),
        ("keep_within", "soon", "keep_within"),
        ("compact", 100, "compact"),
        ("drop", ["web01@latest"], "latest"),
        ("hold", ["web01@none"], "web01@none"),
    ],
)
def test_what_makes_no_sense_is_refused(modules, repository, points, option, value, words):
    assert words in modules.fail("vmdk_prune", **{option: value}, **repository)["msg"]
    assert len(modules.vmdk_backup_info(**repository)["restore_points"]) == 3


def test_a_source_of_no_point_is_told(modules, repository, points):
    """A slip of the pen would else look like a night on which nothing was too old."""
    for check_mode in (True, False):
        told = modules.run("vmdk_prune", check_mode, source="wbe01", keep_last=1, **repository)
        assert "No restore point is of wbe01" in str(told["warnings"])
        assert not told["changed"]
    assert "warnings" not in modules.vmdk_prune(source="web01", keep_last=3, **repository)
