# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_defragment and vmdk_shrink: the same content, as qemu-img reads it, in smaller files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MIB = 1 << 20
GRAIN = 64 << 10
SPARSE = ["monolithicSparse", "twoGbMaxExtentSparse"]
FLAT = ["monolithicFlat", "twoGbMaxExtentFlat", "vmfs"]


def run(*command, **options):
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout


def qemu_write(path, *commands):
    """Write with qemu, which puts new grains at the end of the file, in the order of writing."""
    words = [word for command in commands for word in ("-c", command)]
    run("qemu-io", "-f", "vmdk", *words, path)


@pytest.fixture
def untidy(tmp_path):
    """untidy(disk_type): a disk by qemu with 30 grains written back to front, 10 of them zeros."""

    def make(disk_type="monolithicSparse", name="web01.vmdk"):
        path = tmp_path / name
        run("qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={disk_type}", path, "64M")
        places = [(n * 5 * GRAIN, n + 1) for n in reversed(range(30))]
        qemu_write(path, *(f"write -P {value} {at} 64k" for at, value in places))
        qemu_write(path, *(f"write -P 0 {at} 64k" for at, value in places if value % 3 == 0))
        return path

    return make


def descriptor_of(path):
    """The text, whether in a file of its own or embedded."""
    data = path.read_bytes()
    text = data[512 : 512 + 20 * 512] if data.startswith(b"KDMV") else data
    return text.split(b"\0")[0]


def space(path):
    """(bytes, bytes taken) of all files of a disk."""
    found = [file.stat() for file in path.parent.glob(f"{path.stem}*.vmdk")]
    return sum(f.st_size for f in found), sum(f.st_blocks * 512 for f in found)


def fragments_by_qemu(path):
    """Runs that lie behind each other in the file, as qemu-img sees them."""
    table = json.loads(run("qemu-img", "map", "--output=json", "-f", "vmdk", path))
    places = [(m["offset"], m["offset"] + m["length"]) for m in table if "offset" in m]
    return sum(
        1
        for number, (start, _end) in enumerate(places)
        if number == 0 or places[number - 1][1] != start
    )


@pytest.mark.parametrize("disk_type", SPARSE)
def test_defragment(modules, untidy, content_by_qemu, disk_type):
    path = untidy(disk_type)
    content, text, size = content_by_qemu(path), descriptor_of(path), space(path)[0]
    result = modules.vmdk_defragment(path=path)
    assert result["changed"]
    assert result["fragmentation"]["before"]["fragments"] == 30
    assert result["fragmentation"]["after"]["fragments"] == 1
    assert result["fragmentation"]["after"]["grains"] == 30
    assert content_by_qemu(path) == content
    assert descriptor_of(path) == text
    assert fragments_by_qemu(path) == 1
    assert space(path)[0] <= size
    assert "No errors" in run("qemu-img", "check", "-f", "vmdk", path)
    assert not modules.vmdk_defragment(path=path)["changed"]


@pytest.mark.parametrize("disk_type", SPARSE)
def test_shrink(modules, untidy, content_by_qemu, disk_type):
    path = untidy(disk_type)
    content, text, size = content_by_qemu(path), descriptor_of(path), space(path)[0]
    result = modules.vmdk_shrink(path=path)
    assert result["changed"]
    assert result["freed"] == size - space(path)[0] >= 10 * GRAIN
    assert content_by_qemu(path) == content
    assert descriptor_of(path) == text
    assert fragments_by_qemu(path) == 1
    assert "No errors" in run("qemu-img", "check", "-f", "vmdk", path)
    again = modules.vmdk_shrink(path=path)
    assert not again["changed"]
    assert again["freed"] == 0
    assert not modules.vmdk_defragment(path=path)["changed"]


@pytest.mark.parametrize("disk_type", FLAT)
def test_shrink_makes_holes_in_flat_disks(modules, make_disk, content_by_qemu, disk_type):
    path = make_disk(disk_type=disk_type)
    flat = max(path.parent.glob("web01*.vmdk"), key=lambda file: file.stat().st_size)
    whole = flat.read_bytes()
    flat.write_bytes(whole)  # zeros and all
    content, before = content_by_qemu(path), space(path)
    result = modules.vmdk_shrink(path=path)
    assert result["changed"]
    after = space(path)
    assert after[0] == before[0]
    assert result["freed"] == before[1] - after[1] > 20 * MIB
    assert content_by_qemu(path) == content
    assert not modules.vmdk_shrink(path=path)["changed"]
    assert not modules.vmdk_shrink(path=path, check_mode=True)["changed"]


def test_shrink_gives_back_what_is_reserved(modules, tmp_path):
    path = tmp_path / "new.vmdk"
    modules.vmdk_create(path=path, size="32MiB", disk_type="monolithicFlat")
    assert space(path)[1] >= 32 * MIB
    assert modules.vmdk_shrink(path=path)["changed"]
    assert space(path)[1] < MIB
    assert not modules.vmdk_shrink(path=path)["changed"]


@pytest.mark.parametrize("disk_type", [*FLAT, "streamOptimized"])
def test_nothing_to_defragment(modules, make_disk, disk_type):
    assert not modules.vmdk_defragment(path=make_disk(disk_type=disk_type))["changed"]


def test_nothing_to_shrink_in_a_stream(modules, make_disk):
    assert not modules.vmdk_shrink(path=make_disk(disk_type="streamOptimized"))["changed"]


def test_a_disk_just_cloned_is_as_tidy_as_can_be(modules, disk):
    assert not modules.vmdk_defragment(path=disk)["changed"]
    assert not modules.vmdk_shrink(path=disk)["changed"]


@pytest.mark.parametrize("module", ["vmdk_defragment", "vmdk_shrink"])
def test_check_mode_changes_nothing_and_tells_the_truth(
    modules, untidy, digest_of_tree, tmp_path, module
):
    path = untidy()
    before = digest_of_tree(tmp_path)
    foretold = modules.run(module, check_mode=True, path=path)
    assert foretold["changed"]
    assert digest_of_tree(tmp_path) == before
    done = modules.run(module, path=path)
    assert done["changed"]
    for key in ("freed", "fragmentation"):
        assert foretold.get(key) == done.get(key)
    assert not modules.run(module, check_mode=True, path=path)["changed"]


@pytest.fixture
def family(modules, untidy, tmp_path):
    """(parent, child) where the child has zeros over data of its parent."""
    base, child = untidy(name="base.vmdk"), tmp_path / "child.vmdk"
    modules.vmdk_clone(src=base, dest=child, linked=True)
    qemu_write(child, "write -P 200 5M 64k", "write -P 0 0 2M", "write -P 201 1M 64k")
    return base, child


@pytest.mark.parametrize("module", ["vmdk_defragment", "vmdk_shrink"])
def test_child_never_shows_its_parent(modules, family, content_by_qemu, module):
    base, child = family
    content, parent, size = content_by_qemu(child), base.read_bytes(), child.stat().st_size
    assert modules.run(module, path=child)["changed"]
    assert content_by_qemu(child) == content
    assert child.stat().st_size < size or module == "vmdk_defragment"
    assert base.read_bytes() == parent
    assert not modules.run(module, path=child)["changed"]


@pytest.mark.parametrize("module", ["vmdk_defragment", "vmdk_shrink"])
def test_parent_may_be_compacted_under_its_child(modules, family, content_by_qemu, module):
    base, child = family
    content = content_by_qemu(child)
    assert modules.run(module, path=base)["changed"]
    assert content_by_qemu(child) == content


def test_all_links(modules, family, content_by_qemu):
    base, child = family
    content = content_by_qemu(child)
    result = modules.vmdk_defragment(path=child, links="all")
    assert result["changed"]
    assert result["fragmentation"]["after"]["fragments"] == 2
    assert fragments_by_qemu(base) == 1
    assert content_by_qemu(child) == content
    assert not modules.vmdk_defragment(path=child, links="all")["changed"]


def test_owner_and_rights_stay(modules, untidy):
    path = untidy()
    os.chmod(path, 0o640)
    os.chown(path, 1234, 5678)
    modules.vmdk_defragment(path=path)
    status = path.stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o640, 1234, 5678)


def test_space_is_checked_before_anything_is_written(modules, small_file_system, tmp_path):
    path = small_file_system / "web01.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "64M")
    qemu_write(path, *(f"write -P 7 {n * GRAIN} 64k" for n in reversed(range(40))))
    before = path.read_bytes()
    failed = modules.fail("vmdk_defragment", path=path)
    assert failed["error"]["kind"] == "NoSpace"
    assert "bytes free" in failed["msg"]
    assert path.read_bytes() == before
    assert [file.name for file in small_file_system.iterdir()] == ["web01.vmdk"]


def kill_after(seconds, module, **arguments):
    """Start a module and kill it on its way."""
    name = f"ansible_collections.vdisk.lifecycle.plugins.modules.{module}"
    process = subprocess.Popen(
        [sys.executable, "-m", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    process.stdin.close()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("module", ["vmdk_defragment", "vmdk_shrink"])
def test_killed_at_any_moment(modules, untidy, content_by_qemu, module):
    path = untidy("twoGbMaxExtentSparse")
    content = content_by_qemu(path)
    for moment in range(6):
        kill_after(0.12 + 0.03 * moment, module, path=str(path))
        assert content_by_qemu(path) == content
    modules.run(module, path=path)
    assert content_by_qemu(path) == content
    assert not modules.run(module, path=path)["changed"]
    assert not list(path.parent.glob("*.vdisk-*"))


MAKERS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
CHECKERS = {
    "ext4": ["e2fsck", "-fn"],
    "xfs": ["xfs_repair", "-n"],
    "btrfs": ["btrfs", "check", "--readonly"],
}
START = 2048 * 512


@pytest.fixture
def guest(tmp_path, modules):
    """guest(kind, disk_type): a disk whose file system kept 8 MiB and threw 60 MiB away."""

    def make(kind, disk_type):
        raw, point = tmp_path / "guest.raw", tmp_path / "filling"
        with open(raw, "wb") as stream:
            stream.truncate(400 * MIB)
        run("sfdisk", "-q", "--label", "gpt", raw, input="start=2048, type=linux\n")
        point.mkdir()
        loop = run("losetup", "-f", "--show", "-o", START, "--sizelimit", 398 * MIB, raw).strip()
        try:
            run(*MAKERS[kind], loop)
            run("mount", loop, point)
            (point / "kept").write_bytes(os.urandom(8 * MIB))
            (point / "thrown away").write_bytes(os.urandom(60 * MIB))
            os.sync()
            (point / "thrown away").unlink()
            run("umount", point)
        finally:
            run("losetup", "-d", loop)
        point.rmdir()
        path = tmp_path / "web01.vmdk"
        modules.vmdk_clone(src=raw, dest=path, disk_type=disk_type)
        raw.unlink()
        return path

    return make


@pytest.fixture
def judge(tmp_path):
    """judge(kind, path): the file system's own check, and the digest of the file that was kept."""

    def check(kind, path):
        raw, part = tmp_path / "judge.raw", tmp_path / "judge.part"
        run("qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw)
        run("dd", f"if={raw}", f"of={part}", "bs=1M", "skip=1", "count=398", "conv=sparse")
        run(*CHECKERS[kind], part)
        point = tmp_path / "judge"
        point.mkdir()
        run("mount", "-o", "loop,ro", part, point)
        try:
            return (point / "kept").read_bytes()
        finally:
            run("umount", point)
            point.rmdir()
            raw.unlink()
            part.unlink()

    return check


@pytest.mark.serial
@pytest.mark.parametrize(
    ("kind", "disk_type"),
    [
        ("ext4", "monolithicSparse"),
        ("xfs", "twoGbMaxExtentSparse"),
        ("btrfs", "monolithicSparse"),
        ("ext4", "monolithicFlat"),
    ],
)
def test_trim(modules, guest, judge, monkeypatch, tmp_path, kind, disk_type):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    path = guest(kind, disk_type)
    modules.vmdk_shrink(path=path)  # what a flat disk has reserved
    kept, before = judge(kind, path), space(path)
    foretold = modules.vmdk_shrink(path=path, trim=True, check_mode=True)
    assert foretold["changed"]
    assert foretold["freed"] > 40 * MIB
    result = modules.vmdk_shrink(path=path, trim=True)
    assert result["changed"]
    assert result["freed"] > 40 * MIB
    assert [(v["fs"], v["trimmed"]) for v in result["volumes"]] == [(kind, True)]
    after = space(path)
    assert max(before[0] - after[0], before[1] - after[1]) > 40 * MIB
    assert judge(kind, path) == kept
    digest = modules.vmdk_info(path=path, digest=True)["disk"]["digest"]
    again = modules.vmdk_shrink(path=path, trim=True)
    assert not again["changed"]
    assert modules.vmdk_info(path=path, digest=True)["disk"]["digest"] == digest
    assert not list(Path(tmp_path / "run").rglob("state.json"))


@pytest.mark.serial
def test_trim_of_a_child(modules, guest, judge, monkeypatch, tmp_path):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    base, child, point = guest("ext4", "monolithicSparse"), tmp_path / "child.vmdk", tmp_path / "m"
    modules.vmdk_clone(src=base, dest=child, linked=True)
    modules.vmdk_mount(path=child, mount_point=point, read_only=False)
    (point / "kept").write_bytes(os.urandom(8 * MIB))
    (point / "more").write_bytes(os.urandom(30 * MIB))
    modules.vmdk_mount(mount_point=point, state="unmounted")
    modules.vmdk_mount(path=child, mount_point=point, read_only=False)
    (point / "more").unlink()
    modules.vmdk_mount(mount_point=point, state="unmounted")
    parent, kept, size = base.read_bytes(), judge("ext4", child), child.stat().st_size
    result = modules.vmdk_shrink(path=child, trim=True)
    assert result["changed"]
    assert result["freed"] >= size - child.stat().st_size > 20 * MIB
    assert judge("ext4", child) == kept
    assert base.read_bytes() == parent
    assert not modules.vmdk_shrink(path=child, trim=True)["changed"]


@pytest.mark.serial
def test_killed_trim_is_completed_by_the_next(modules, guest, judge, monkeypatch, tmp_path):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    path, whole = guest("ext4", "monolithicSparse"), tmp_path / "whole.vmdk"
    shutil.copy(path, whole)
    kept = judge("ext4", path)
    for moment in range(5):
        shutil.copy(whole, path)
        kill_after(0.4 + 0.2 * moment, "vmdk_shrink", path=str(path), trim=True)
        time.sleep(0.3)  # a program that it had started may be at work still
        modules.vmdk_shrink(path=path, trim=True)
        assert path.stat().st_size < 30 * MIB
        assert judge("ext4", path) == kept
        assert not modules.vmdk_shrink(path=path, trim=True)["changed"]


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.serial
def test_killed_trim_leaves_no_mount_and_no_server(modules, guest, judge, monkeypatch, tmp_path):
    """Nobody need run anything for that."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    path = guest("ext4", "monolithicSparse")
    kept = judge("ext4", path)

    def mounts():
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
        return [line.split()[1] for line in lines if str(tmp_path) in line]

    process = subprocess.Popen(
        [sys.executable, "-m", "ansible_collections.vdisk.lifecycle.plugins.modules.vmdk_shrink"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    arguments = {"ANSIBLE_MODULE_ARGS": {"path": str(path), "trim": True}}
    process.stdin.write(json.dumps(arguments).encode())
    process.stdin.close()
    wait_until(lambda: any(point.endswith("/volume") for point in mounts()))
    process.send_signal(signal.SIGKILL)
    process.wait()
    states = list((tmp_path / "run").rglob("state.json"))
    server = json.loads(states[0].read_text(encoding="utf-8"))["daemon"][0]
    wait_until(lambda: not mounts() and not Path(f"/proc/{server}").exists())
    assert str(tmp_path) not in run("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
    assert not modules.vmdk_check(path=path)["findings"]
    assert judge("ext4", path) == kept


@pytest.mark.serial
def test_trim_says_what_it_cannot(modules, tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    raw, path = tmp_path / "swap.raw", tmp_path / "swap.vmdk"
    with open(raw, "wb") as stream:
        stream.truncate(16 * MIB)
    run("mkswap", raw)
    modules.vmdk_clone(src=raw, dest=path)
    result = modules.vmdk_shrink(path=path, trim=True)
    assert not result["changed"]
    assert result["volumes"][0]["trimmed"] is False
    assert "swap" in result["volumes"][0]["reason"]


@pytest.mark.serial
def test_trim_refuses_a_parent(modules, family):
    base, _child = family
    failed = modules.fail("vmdk_shrink", path=base, trim=True)
    assert "children" in failed["msg"]
