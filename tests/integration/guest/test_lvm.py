# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical volumes that LVM's own tools have made, found and mounted without device-mapper."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.slice import SliceDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.discover import find_volumes
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.lvm import group, label, text
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.session import (
    FlatFile,
    MountRequest,
)

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts want root"),
    pytest.mark.skipif(not shutil.which("vgcreate"), reason="lvm2 is not installed"),
]
MIB = 1 << 20
PART = 1 * MIB  # where the partition with the physical volume begins
_QUIET = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "LC_ALL": "C"}


def run(*command):
    words = [str(word) for word in command]
    return subprocess.run(
        words, check=True, capture_output=True, text=True, env=_QUIET, timeout=60
    ).stdout


class Lvm:
    """LVM's tools on some disks, without a kernel that can activate anything."""

    def __init__(self, devices):
        self.devices = devices
        accepted = ",".join(f'"a|^{device}$|"' for device in devices)
        self._config = f'devices{{filter=[{accepted},"r|.*|"]}}'

    def __call__(self, command, *words):
        return run(command, "--driverloaded", "n", "--config", self._config, *words)

    def edit(self, tmp_path, change):
        """What its tools cannot make without device-mapper, they restore from a description."""
        backup = tmp_path / "backup"
        self("vgcfgbackup", "--file", backup, "vg0")
        backup.write_text(change(backup.read_text()))
        self("vgcfgrestore", "--yes", "--force", "--file", backup, "vg0")

    def volume(self, name, size, *where):
        self("lvcreate", "-an", "-Zn", "-Wn", "-n", name, "-L", size, "vg0", *where)


@pytest.fixture
def disks(tmp_path):
    """Two disks; the first has a partition table, the second is a physical volume as it is."""
    paths = [tmp_path / "one.img", tmp_path / "two.img"]
    for path in paths:
        with open(path, "wb") as stream:
            stream.truncate(64 * MIB)
    subprocess.run(
        ["sfdisk", "--quiet", "--label", "dos", str(paths[0])],
        input="start=2048, type=8e\n",
        text=True,
        check=True,
    )
    return paths


@contextlib.contextmanager
def lvm_on(disks, offsets=(PART, 0), make=True):
    """Their physical volumes as loop devices."""
    devices = []
    try:
        for disk, offset in zip(disks, offsets, strict=True):
            attach = ["losetup", "--find", "--show", "--offset", offset, disk]
            devices.append(run(*attach).strip())
        lvm = Lvm(devices)
        if make:
            lvm("pvcreate", *devices)
            lvm("vgcreate", "vg0", *devices)
        yield lvm
    finally:
        run("losetup", "--detach", *devices)


def start_of(lvm, name):
    """In bytes on its physical volume, as LVM's own tools tell it."""
    return next(pieces_of(lvm, name))[1]


def pieces_of(lvm, name):
    """(device, start on it, size, stripe) in bytes, of what a volume consists of."""
    units = ["--noheadings", "--nosuffix", "--units", "b"]
    extent = int(lvm("vgs", *units, "-o", "vg_extent_size", "vg0"))
    fields = "seg_pe_ranges,stripe_size"
    for line in lvm("lvs", *units, "-o", fields, "-O", "seg_start", f"vg0/{name}").splitlines():
        *ranges, stripe = line.split()
        for each in ranges:
            device, _colon, extents = each.rpartition(":")
            first, last = map(int, extents.split("-"))
            begin = int(lvm("pvs", *units, "-o", "pe_start", device))
            yield device, begin + first * extent, (last - first + 1) * extent, int(stripe)


@contextlib.contextmanager
def opened(*paths, writable=False):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(RawDevice.open(str(path), writable=writable)) for path in paths]


def found_on(*paths):
    """The logical volumes, by their names."""
    with opened(*paths) as devices:
        return {v.name: v for v in find_volumes(devices) if v.partition.scheme == "lvm"}


def test_a_volume_in_one_piece_is_mounted(disks, tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    with lvm_on(disks) as lvm:
        lvm.volume("swap", "8M", lvm.devices[0])
        lvm.volume("root", "32M", lvm.devices[0])
        start = PART + start_of(lvm, "root")
    files = tmp_path / "files"
    files.mkdir()
    (files / "greeting").write_text("hello from a logical volume\n")
    options = ["-E", f"offset={start}"]
    run("mkfs.ext4", "-q", "-L", "root", "-d", files, *options, disks[0], "32768k")
    volume = found_on(disks[0])["vg0/root"]
    assert (volume.partition.start, volume.partition.size) == (start, 32 * MIB)
    point = tmp_path / "mnt"
    source = FlatFile(str(disks[0]), 0, 64 * MIB)
    session.mount(MountRequest(source, "one.img", str(point), "vg0/root"))
    try:
        assert (point / "greeting").read_text() == "hello from a logical volume\n"
    finally:
        session.unmount(str(point))


def test_what_is_partly_on_another_disk_says_so(disks):
    with lvm_on(disks) as lvm:
        lvm.volume("both", "80M", *lvm.devices)
        lvm.volume("alone", "8M", lvm.devices[1])
        missing = lvm("pvs", "--noheadings", "-o", "pv_uuid", lvm.devices[1]).strip()
    both = found_on(disks[0])["vg0/both"]
    assert both.as_dict()["type"] == (
        f"LVM, partly on another disk (physical volume {missing}): name that disk in disks"
    )
    assert not both.mountable and both.place is None
    with opened(disks[0]) as devices, pytest.raises(InvalidRequest, match="name that disk"):
        both.open(devices)


def put(lvm, pieces, content):
    """As device-mapper would: one piece after the other, or in turn where there are stripes."""
    stripe = pieces[0][3]
    for number, (device, place, size, _stripe) in enumerate(pieces):
        if stripe:
            mine = range(number * stripe, len(content), stripe * len(pieces))
            part = b"".join(content[start : start + stripe] for start in mine)
        else:
            before = sum(each[2] for each in pieces[:number])
            part = content[before : before + size]
        assert len(part) == size
        with open(device, "r+b") as stream:
            stream.seek(place)
            stream.write(part)


def make_content(tmp_path, size):
    """A file system with a file, by the real mkfs; the rest is noise."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "greeting").write_bytes(os.urandom(3 * MIB))
    image = tmp_path / "content.img"
    image.write_bytes(os.urandom(size))
    run("mkfs.ext4", "-q", "-E", "nodiscard", "-d", tmp_path / "files", image)
    return image.read_bytes()


def in_several_pieces(lvm):
    one, two = lvm.devices
    lvm.volume("root", "8M", one)
    lvm.volume("between", "8M", one)
    for size, where in (("12M", two), ("8M", one)):
        lvm("lvextend", "-L", f"+{size}", "vg0/root", where)


def striped(lvm):
    lvm.volume("between", "8M", lvm.devices[0])
    lvm.volume("root", "40M", "-i", "2", "-I", "16k", *lvm.devices)


@pytest.mark.parametrize("make", [in_several_pieces, striped])
def test_volume_over_several_disks_is_read_and_written(disks, tmp_path, make):
    with lvm_on(disks) as lvm:
        make(lvm)
        pieces = list(pieces_of(lvm, "root"))
        assert len(pieces) > 1
        content = make_content(tmp_path, sum(each[2] for each in pieces))
        put(lvm, pieces, content)
    with opened(*disks, writable=True) as devices:
        (root,) = (v for v in find_volumes(devices) if v.name == "vg0/root")
        assert (root.size, root.place, root.filesystem.kind) == (len(content), None, "ext4")
        device = root.open(devices)
        assert read(device, 0, root.size) == content
        noise = os.urandom(MIB)
        device.write(5 * MIB - 1234, noise)
        content = content[: 5 * MIB - 1234] + noise + content[6 * MIB - 1234 :]
        device.zero(7 * MIB + 1, 300_000)
        content = content[: 7 * MIB + 1] + bytes(300_000) + content[7 * MIB + 300_001 :]
    before = [path.read_bytes() for path in disks]
    with lvm_on(disks, make=False) as lvm:
        put(lvm, list(pieces_of(lvm, "root")), content)  # where LVM says that it belongs
    assert [path.read_bytes() for path in disks] == before


def test_files_of_a_volume_over_two_disks_are_read_back(disks, tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    with lvm_on(disks) as lvm:
        striped(lvm)
        pieces = list(pieces_of(lvm, "root"))
        put(lvm, pieces, make_content(tmp_path, sum(each[2] for each in pieces)))
    first, second = (FlatFile(str(disk), 0, disk.stat().st_size) for disk in disks)
    point = tmp_path / "mnt"
    request = MountRequest(
        first, "one.img", str(point), "vg0/root", further=(second,), paths=("one.img", "two.img")
    )
    session.mount(request)
    try:
        assert (point / "greeting").read_bytes() == (tmp_path / "files/greeting").read_bytes()
    finally:
        session.unmount(str(point))


def test_order_of_the_disks_does_not_matter(disks):
    with lvm_on(disks) as lvm:
        in_several_pieces(lvm)
    one, two = found_on(*disks)["vg0/root"], found_on(*reversed(disks))["vg0/root"]
    assert one.size == two.size
    with opened(*disks) as devices:
        content = read(one.open(devices), 0, one.size)
        assert read(two.open(devices[::-1]), 0, two.size) == content


def test_pieces_that_lie_together_are_one(disks):
    with lvm_on(disks) as lvm:
        lvm.volume("root", "8M", lvm.devices[0])
        lvm("lvextend", "-L", "+8M", "--alloc", "cling", "vg0/root", lvm.devices[0])
        start = PART + start_of(lvm, "root")
    root = found_on(disks[0])["vg0/root"]
    assert (root.place, root.size, root.as_dict()["start"]) == ((0, start), 16 * MIB, start)


def test_two_groups_of_one_name_are_told_apart(disks):
    for number, size in enumerate(("8M", "12M")):
        with lvm_on(disks[number : number + 1], offsets=[(PART, 0)[number]]) as lvm:
            lvm.volume("root", size)
    with opened(*disks) as devices:
        volumes = find_volumes(devices)
    roots = [v for v in volumes if v.partition.scheme == "lvm"]
    assert sorted(v.size for v in roots) == [8 * MIB, 12 * MIB]
    for root in roots:
        assert re.fullmatch(r"vg0@\w{6}/root", root.name)
        assert [v for v in volumes if v.answers_to(root.name)] == [root]
        assert [v for v in volumes if v.answers_to(root.partition.uuid)] == [root]
        assert root.answers_to("vg0/root")


def test_clone_beside_its_original_is_refused(disks, tmp_path):
    with lvm_on(disks) as lvm:
        lvm.volume("root", "8M", lvm.devices[0])
        lvm.volume("other", "8M", lvm.devices[1])
    clones = [shutil.copy(disk, tmp_path / f"clone-{disk.name}") for disk in disks]
    found = found_on(*disks, clones[0])
    assert found["vg0/other"].problem == ""
    assert not found["vg0/root"].mountable and found["vg0/root"].source is None
    for words in ("is there 2 times (disk0 at byte 1048576 and disk2 at", "vgimportclone"):
        assert words in found["vg0/root"].as_dict()["type"]
    with lvm_on(clones, make=False) as lvm:  # as the message says
        lvm("vgimportclone", "--basevgname", "copied", *lvm.devices)
    found = found_on(*disks, *clones)
    assert len(found) == 4 and not any(volume.problem for volume in found.values())
    assert [found[name].place[0] for name in ("vg0/root", "copied/root")] == [0, 2]


TIE = """
\t\tsnapshot0 {
\t\t\tid = "Y20hdn-JVrY-0Uxl-eQDh-P4sE-GIs8-c8MQBL"
\t\t\tstatus = ["READ", "WRITE", "VISIBLE"]
\t\t\tsegment_count = 1
\t\t\tsegment1 {
\t\t\t\tstart_extent = 0
\t\t\t\textent_count = 2
\t\t\t\ttype = "snapshot"
\t\t\t\tchunk_size = 8
\t\t\t\torigin = "root"
\t\t\t\tcow_store = "before"
\t\t\t}
\t\t}
"""  # as LVM has written it where there was device-mapper


def test_snapshot_is_explained_and_its_origin_is_to_be_read_only(disks, tmp_path):
    with lvm_on(disks) as lvm:
        lvm.volume("root", "8M", lvm.devices[0])
        lvm.volume("before", "8M", lvm.devices[0])
        lvm.volume("fixed", "8M", "--permission", "r")
        end = re.compile(r"\n\t\}\s*\}\s*$")
        lvm.edit(tmp_path, lambda text: end.sub(lambda found: TIE + found[0], text))
        assert "before" in lvm("lvs", "--noheadings", "-o", "name,origin", "-S", "origin=root")
    found = found_on(*disks)
    assert sorted(found) == ["vg0/before", "vg0/fixed", "vg0/root"]
    assert found["vg0/fixed"].read_only_because == "LVM has it so (lvchange --permission)"
    assert found["vg0/root"].read_only_because == "it is the origin of an LVM snapshot"
    assert "LVM, a snapshot of root: " in found["vg0/before"].as_dict()["type"]
    assert found["vg0/before"].source is None


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('type = "striped"', 'type = "raid0"', "of type raid0: only the guest"),
        ('"pv0", 0', '"pvmove0", 0', "partly in pvmove0: let the guest finish"),
        ("flags = []\ndev", 'flags = ["MISSING"]\ndev', "vgextend --restore"),
    ],
)
def test_what_is_not_simply_somewhere_is_explained(disks, before, after, told):
    """Descriptions as LVM writes them, which its tools make only with device-mapper."""
    with lvm_on(disks) as lvm:
        lvm.volume("root", "8M", lvm.devices[0])
    with opened(*disks) as devices:
        described = label.find_physical(SliceDevice(devices[0], PART, devices[0].size - PART)).text
    assert before in described
    (root,) = group.read_group(described.replace(before, after)).volumes
    assert told in root.why and not root.segments


def test_the_newest_description_counts(disks):
    """Written over and over, the text goes round in its area."""
    with lvm_on(disks) as lvm:
        lvm.volume("root", "8M", lvm.devices[0])
        for number in range(40):
            lvm("vgchange", "--addtag", f"tag{number}" * 20, "vg0")
        lvm("lvrename", "vg0", "root", "system")
    assert list(found_on(disks[0])) == ["vg0/system"]


def test_without_a_group_there_are_no_volumes(disks):
    loop = run("losetup", "--find", "--show", disks[1]).strip()
    try:
        Lvm([loop])("pvcreate", loop)
    finally:
        run("losetup", "--detach", loop)
    assert found_on(disks[1]) == {}


def test_damage_in_the_description_is_told(disks):
    with lvm_on(disks) as lvm:
        lvm.volume("root", "8M", lvm.devices[0])
    with open(disks[1], "r+b") as stream:
        stream.seek(4096 + 512)
        stream.write(bytes(128 << 10))
    with RawDevice.open(str(disks[1])) as device, pytest.raises(CorruptDisk, match="checksum"):
        label.find_physical(device)


def test_nothing_of_it_is_written(disks):
    with lvm_on(disks) as lvm:
        lvm.volume("root", "8M", lvm.devices[0])
    before = [path.read_bytes() for path in disks]
    for path in disks:
        found_on(path)
    assert [path.read_bytes() for path in disks] == before


def test_the_text_of_lvm_is_read_as_lvm_reads_it(disks, tmp_path):
    with lvm_on(disks) as lvm:
        lvm.volume("root", "8M", lvm.devices[0])
        lvm("vgcfgbackup", "--file", tmp_path / "backup", "vg0")
    with RawDevice.open(str(disks[1])) as device:
        assert read(device, 512, 8) == b"LABELONE"
        ours = text.parse(label.find_physical(device).text)["vg0"]
    theirs = text.parse((tmp_path / "backup").read_text())["vg0"]
    assert ours["logical_volumes"] == theirs["logical_volumes"]
    assert ours["id"] == theirs["id"]
