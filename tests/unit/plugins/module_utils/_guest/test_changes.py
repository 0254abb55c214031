# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told to differ between two trees, and what trees of strangers cannot do."""

from __future__ import annotations

import os
import shutil
import socket

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import changes
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.changes_packages import (
    compare_packages,
)

NOTHING = {"added": [], "removed": [], "changed": []}


@pytest.fixture
def trees(tmp_path):
    """(before, after): two equal trees."""
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "etc").mkdir(parents=True)
    (old / "etc" / "hosts").write_text("hosts\n")
    (old / "etc" / "link").symlink_to("hosts")
    os.mkfifo(old / "pipe")
    (old / "big").write_bytes(b"\x11" * (3 << 20))
    shutil.copytree(old, new, symlinks=True, copy_function=_copied)
    shutil.copystat(old, new)
    return old, new


def _copied(source, target):
    if not os.path.isfile(source):
        return os.mkfifo(target)
    return shutil.copy2(source, target)


def told(trees, **options):
    found = changes.compare_trees(*map(str, trees), **options).as_dict()
    assert found["problems"] == []
    return {kind: found[kind] for kind in NOTHING if found[kind]}


def test_equal(trees):
    assert told(trees) == {}


def test_times_are_no_change(trees):
    os.utime(trees[1] / "etc" / "hosts", (1, 1))
    assert told(trees) == {}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("big", lambda path: path.write_bytes(b"\x11" * (3 << 20) + b"x")),
        ("big", lambda path: path.write_bytes(b"\x11" * ((3 << 20) - 1) + b"x")),
        ("etc/hosts", lambda path: path.chmod(0o600)),
        ("etc/link", lambda path: (path.unlink(), path.symlink_to("/etc/shadow"))),
        ("etc/hosts", lambda path: (path.unlink(), path.symlink_to("hosts"))),
        ("etc/hosts", lambda path: os.setxattr(path, "user.x", b"1")),
        ("etc", lambda path: path.chmod(0o700)),
        ("pipe", lambda path: (path.unlink(), path.write_text(""))),
    ],
    ids=["longer", "content", "mode", "target", "type", "attribute", "folder", "pipe"],
)
def test_changed(trees, name, change):
    change(trees[1] / name)
    assert told(trees) == {"changed": [f"/{name}"]}
    assert told(trees[::-1]) == {"changed": [f"/{name}"]}


def test_folder_with_all_that_is_in_it(trees):
    (trees[1] / "new" / "deep").mkdir(parents=True)
    (trees[1] / "new" / "deep" / "file").write_text("")
    assert told(trees) == {"added": ["/new", "/new/deep", "/new/deep/file"]}
    assert told(trees[::-1]) == {"removed": ["/new", "/new/deep", "/new/deep/file"]}


def test_folder_instead_of_a_file(trees):
    (trees[1] / "etc" / "hosts").unlink()
    (trees[1] / "etc" / "hosts").mkdir()
    (trees[1] / "etc" / "hosts" / "a").write_text("")
    assert told(trees) == {"added": ["/etc/hosts/a"], "changed": ["/etc/hosts"]}


def test_links_lead_nowhere(trees, tmp_path):
    """Neither in one tree nor in both."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("secret")
    for tree in trees:
        (tree / "out").symlink_to(secret)
    shutil.rmtree(trees[1] / "etc")
    (trees[1] / "etc").symlink_to(secret)
    assert told(trees) == {"removed": ["/etc/hosts", "/etc/link"], "changed": ["/etc"]}


def test_nothing_but_files_is_opened(trees):
    """A pipe would make us wait, a device do who knows what."""
    for tree in trees:
        with socket.socket(socket.AF_UNIX) as listener:
            os.chdir(tree)
            listener.bind("socket")
            os.chdir("/")
    os.utime(trees[1] / "pipe", (1, 1))
    assert told(trees) == {}


def test_names_that_are_no_text(trees):
    (trees[1] / os.fsdecode(b"caf\xe9")).write_text("")
    assert told(trees) == {"added": ["/caf\\xe9"]}


def test_lists_have_an_end(trees, monkeypatch):
    monkeypatch.setattr(changes, "LISTED", 3)
    for number in range(5):
        (trees[1] / f"new{number}").write_text("")
    found = changes.compare_trees(*map(str, trees)).as_dict()
    assert found["added"] == ["/new0", "/new1", "/new2"]
    assert found["more"] == {"added": 2, "removed": 0, "changed": 0}


def test_walk_has_an_end(trees, monkeypatch):
    monkeypatch.setattr(changes, "MOST", 2)
    problems = changes.compare_trees(*map(str, trees)).as_dict()["problems"]
    assert problems == ["only the first 2 names were compared"]


def test_trees_that_are_too_deep(trees):
    path = trees[1] / os.fsdecode(b"\xff")  # no text, as results are
    for _level in range(changes.DEEPEST + 20):
        path /= "d"
    path.mkdir(parents=True)
    found = changes.compare_trees(*map(str, trees)).as_dict()
    assert len(found["problems"]) == 1
    assert found["problems"][0].startswith("/\\xff/d/d")
    assert "is too deep" in found["problems"][0]
    assert len(found["added"]) == changes.DEEPEST + 1


def test_same_ctime_is_not_read_where_it_can_be_trusted(trees, monkeypatch):
    def never(_one, _other):
        raise AssertionError("it was read")

    monkeypatch.setattr(changes._Entry, "content_differs", never)
    assert told((trees[0], trees[0])) == {}


def test_without_change_times_size_and_mtime_decide(trees):
    path = trees[1] / "etc" / "hosts"
    then = path.stat()
    path.write_text("HOSTS\n")
    assert told(trees, has_change_time=False) == {"changed": ["/etc/hosts"]}
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert told(trees, has_change_time=False) == {}


def test_tree_that_is_not_there(trees, tmp_path):
    with pytest.raises(DiskError):
        changes.compare_trees(str(trees[0]), str(tmp_path / "none"))


def package(name, version, arch="amd64"):
    return {"name": name, "version": version, "arch": arch, "manager": "rpm", "source": ""}


def names(found):
    return {
        kind: [(one["name"], one["arch"], one["from"], one["to"]) for one in ones]
        for kind, ones in found.items()
        if ones
    }


def test_packages():
    before = [package("bash", "1"), package("vim", "1"), package("libc", "1"),
              package("libc", "1", "i386")]  # fmt: skip
    after = [package("bash", "1"), package("less", "2"), package("libc", "2"),
             package("libc", "1", "i386")]  # fmt: skip
    assert names(compare_packages(before, after)) == {
        "added": [("less", "amd64", None, "2")],
        "removed": [("vim", "amd64", "1", None)],
        "changed": [("libc", "amd64", "1", "2")],
    }


def test_packages_of_several_versions():
    """Such as kernels: one more is no change of another."""
    before = [package("kernel", "1"), package("kernel", "2")]
    after = [*before, package("kernel", "3")]
    assert names(compare_packages(before, after)) == {"added": [("kernel", "amd64", None, "3")]}
    assert names(compare_packages(before, after[1:])) == {
        "changed": [("kernel", "amd64", "1", "3")]
    }
