# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files out of a tree of a stranger's: equal, at their places, and nowhere else."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest


@pytest.fixture
def tree(tmp_path):
    """What a disk holds."""
    root = tmp_path / "disk"
    (root / "etc" / "app").mkdir(parents=True)
    (root / "home" / "ann").mkdir(parents=True)
    (root / "etc" / "app" / "app.conf").write_text("port = 443\n")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (root / "home" / "ann" / "note").write_text("hello\n")
    (root / "home" / "ann" / "line\nbreak").write_text("odd\n")
    return root


@pytest.fixture
def dest(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def take(modules, tree, dest):
    def take(**options):
        return modules.run("vmdk_files", src=tree, dest=dest, **options)

    return take


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def actions(result):
    return {each["path"]: each["action"] for each in result["files"]["restored"]}


def test_a_tree_is_equal_and_a_second_run_has_nothing_to_do(take, tree, dest):
    (tree / "home" / "ann" / "hard").hardlink_to(tree / "home" / "ann" / "note")
    assert take()["changed"]
    differences = subprocess.run(
        ["rsync", "-aHAXni", "--delete", f"{tree}/", f"{dest}/"], capture_output=True, check=False
    )
    lines = differences.stdout.decode(errors="replace").splitlines()
    assert [line for line in lines if line[:2] != ".d"] == []
    assert not take()["changed"]


def test_check_mode_says_what_would_come(take, dest):
    foreseen = take(check_mode=True)
    assert foreseen["changed"]
    assert not dest.exists()
    done = take()
    assert foreseen["files"]["restored"] == done["files"]["restored"]
    assert foreseen["diff"]["after"] == done["diff"]["after"]


def test_only_what_is_meant_comes(take, dest):
    take(paths=["/etc/**/*.conf", "/home/*/note"])
    assert names(dest) == [
        "etc",
        "etc/app",
        "etc/app/app.conf",
        "home",
        "home/ann",
        "home/ann/note",
    ]


def test_what_is_excluded_does_not_come(take, dest):
    take(paths=["/etc"], exclude=["/etc/app"])
    assert names(dest) == ["etc", "etc/hosts"]


def test_a_pattern_that_means_nothing_is_an_error(modules, tree, dest):
    failed = modules.fail("vmdk_files", src=tree, dest=dest, paths=["/etc/hosts", "/etc/nothing"])
    assert failed["error"]["found"] == "/etc/nothing"
    assert not dest.exists()


def test_looks_are_kept(take, tree, dest):
    file = tree / "etc" / "hosts"
    os.setxattr(file, "user.note", b"kept")
    subprocess.run(["setfacl", "-m", "u:1234:r", str(file)], check=True)
    os.chown(file, 4321, 1234)
    os.utime(file, ns=(10**18, 10**18 + 5))
    take()
    copy = dest / "etc" / "hosts"
    info = copy.stat()
    assert (info.st_uid, info.st_gid, info.st_mtime_ns) == (4321, 1234, 10**18 + 5)
    assert os.getxattr(copy, "user.note") == b"kept"
    said = [
        subprocess.run(["getfacl", "-cn", path], cwd=root, check=True, capture_output=True).stdout
        for root, path in ((tree, "etc/hosts"), (dest, "etc/hosts"))
    ]
    assert said[0] == said[1]


def test_programs_lose_what_makes_them_mighty(take, tree, dest):
    (tree / "etc" / "hosts").chmod(0o4755)
    take()
    assert stat.S_IMODE((dest / "etc" / "hosts").stat().st_mode) == 0o755
    take(privileged=True, conflict="replace")
    assert stat.S_IMODE((dest / "etc" / "hosts").stat().st_mode) == 0o4755


@pytest.mark.parametrize(
    ("conflict", "there", "beside"),
    [("keep", "mine", None), ("replace", "disk", None), ("rename", "mine", "disk")],
)
def test_conflicts(take, tree, dest, conflict, there, beside):
    content = {"mine": "mine\n", "disk": (tree / "etc" / "hosts").read_text()}
    (dest / "etc").mkdir(parents=True)
    (dest / "etc" / "hosts").write_text(content["mine"])
    for _run in range(2):
        take(paths=["/etc/hosts"], conflict=conflict)
        assert (dest / "etc" / "hosts").read_text() == content[there]
    other = dest / "etc" / "hosts.restored"
    assert (other.read_text() if other.exists() else None) == (beside and content[beside])
    assert not take(paths=["/etc/hosts"], conflict=conflict)["changed"]


@pytest.mark.parametrize("link", ["/etc/passwd", "../../out-of-it", "app/../../..", "hosts/../.."])
def test_links_that_lead_out_stay_out(take, tree, dest, link):
    (tree / "etc" / "link").symlink_to(link)
    skipped = take()["files"]["skipped"]
    assert [each["path"] for each in skipped] == ["/etc/link"]
    assert not os.path.lexists(dest / "etc" / "link")


def test_links_inside_are_kept(take, tree, dest):
    (tree / "etc" / "link").symlink_to("../home/ann/note")
    take()
    assert os.readlink(dest / "etc" / "link") == "../home/ann/note"


def test_a_link_at_the_target_leads_no_write_away(take, tmp_path, dest):
    victim = tmp_path / "victim"
    victim.mkdir()
    dest.mkdir()
    (dest / "etc").symlink_to(victim)
    result = take(conflict="replace")
    assert names(victim) == []
    assert [each["path"] for each in result["files"]["skipped"]] == ["/etc"]
    assert (dest / "home" / "ann" / "note").exists()


def test_devices_and_pipes_stay_out(take, tree, dest):
    os.mkfifo(tree / "etc" / "pipe")
    os.mknod(tree / "etc" / "disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    skipped = take()["files"]["skipped"]
    assert sorted(each["path"] for each in skipped) == ["/etc/disk", "/etc/pipe"]
    assert "etc/pipe" not in names(dest)


def test_holes_stay_holes(take, tree, dest):
    with open(tree / "etc" / "hole", "wb") as stream:
        stream.truncate(64 << 20)
    take()
    copy = (dest / "etc" / "hole").stat()
    assert (copy.st_size, copy.st_blocks) == (64 << 20, 0)


def test_files_of_a_disk(modules, mount, planted, dest, bad):
    point = mount(planted, volume="1")
    result = modules.vmdk_files(src=point, dest=dest, paths=["/in.zip", "/good.txt"])
    assert actions(result) == {"/in.zip": "file", "/good.txt": "file"}
    assert (dest / "in.zip").read_bytes() == bad["in.zip"]


def test_no_file_of_the_target_is_taken_for_a_temporary_one(take, tree, dest):
    long = "n" * 255
    (tree / long).write_text("disk\n")
    dest.mkdir()
    mine = [dest / f"{name[:244]}.vdisk-new" for name in (long, "etc")]
    for each in mine:
        each.write_text("mine\n")
    (tree / "etc.vdisk-new").write_text("disk\n")
    take(conflict="keep")
    assert [each.read_text() for each in mine] == ["mine\n", "mine\n"]
    assert (dest / long).read_text() == "disk\n"
    assert [name for name in names(dest) if name.startswith(".")] == []


def test_other_names_of_a_file_at_the_target_stay_as_they_are(take, tree, tmp_path, dest):
    other = tmp_path / "of-the-host"
    other.write_bytes((tree / "etc" / "hosts").read_bytes())
    other.chmod(0o600)
    (dest / "etc").mkdir(parents=True)
    (dest / "etc" / "hosts").hardlink_to(other)
    os.chown(tree / "etc" / "hosts", 4321, 4321)
    before = (other.stat().st_uid, other.stat().st_mode)
    for _run in range(2):
        result = take(paths=["/etc/hosts"], conflict="replace")
    assert (other.stat().st_uid, other.stat().st_mode) == before
    assert (dest / "etc" / "hosts").stat().st_uid == 4321
    assert not result["changed"]


def test_want_of_space_is_a_failure(modules, tree, tmp_path, tool):
    small = tmp_path / "small"
    small.mkdir()
    (tree / "etc" / "large").write_bytes(os.urandom(4 << 20))
    tool("mount", "-t", "tmpfs", "-o", "size=1m", "none", small)
    try:
        failed = modules.fail("vmdk_files", src=tree, dest=small / "out")
        assert [each["path"] for each in failed["files"]["unwritten"]] == ["/etc/large"]
        assert names(small / "out" / "etc") == ["app", "app/app.conf", "hosts"]
    finally:
        tool("umount", small)


def test_a_huge_hole_is_not_read(take, tree, dest):
    """Hours, if it was."""
    with open(tree / "etc" / "hole", "wb") as stream:
        stream.truncate(8 << 40)
        stream.seek(4 << 40)
        stream.write(b"in the middle")
    take(paths=["/etc/hole"])
    assert not take(paths=["/etc/hole"])["changed"]
    with open(dest / "etc" / "hole", "r+b") as stream:
        stream.seek(4 << 40)
        assert stream.read(13) == b"in the middle"
        stream.seek(6 << 40)
        stream.write(b"differs")
    assert take(paths=["/etc/hole"])["files"]["skipped"]


def test_no_program_gets_the_rights_of_another_owner(take, tree, dest):
    (tree / "etc" / "hosts").chmod(0o4755)
    os.chown(tree / "etc" / "hosts", 1000, 1000)
    os.chmod(tree / "etc" / "hosts", 0o4755)
    take(privileged=True, keep_owner=False)
    info = (dest / "etc" / "hosts").stat()
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (0, 0o755)


def test_an_empty_disk_is_an_error(modules, tmp_path, dest):
    (tmp_path / "empty").mkdir()
    failed = modules.fail("vmdk_files", src=tmp_path / "empty", dest=dest)
    assert failed["error"]["found"] == "/"
