# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole guests: their root with what their own fstab says, and images that lie about it."""

import os
import pathlib
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    MountFailed,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session

pytestmark = pytest.mark.serial
MIB = 1 << 20
ALL = ["/", "/boot", "/boot/efi", "/srv/my data"]


def inside(found, point):
    """Where the parts are, as the guest would say."""
    return [part["mount_point"].removeprefix(str(point)) or "/" for part in found.parts]


def test_guest_is_mounted_as_its_fstab_says(guest, way, ask_guest, point):
    told = []
    found = session.mount(ask_guest(guest, way), told.append)
    contents = [(point / name).read_text() for name in ("boot/vmlinuz", "srv/my data/file")]
    efi = (point / "boot/efi/GRUB.CFG").read_bytes()
    session.unmount(str(point))
    assert inside(found, point) == ALL
    assert (contents, efi) == (["kernel", "data"], pathlib.Path("/etc/hostname").read_bytes())
    assert told == []


def test_read_only_guest_changes_no_byte(guest, way, ask_guest, point, sha256):
    before = sha256(guest)
    session.mount(ask_guest(guest, way))
    for name in ("boot", "srv/my data", "etc"):
        with pytest.raises(OSError):
            (point / name / "new").write_text("x")
    session.unmount(str(point))
    assert sha256(guest) == before


def test_writable_guest_is_written_where_its_fstab_says(guest, way, ask_guest, point, tool):
    told = []
    session.mount(ask_guest(guest, way, read_only=False), told.append)
    (point / "boot" / "new").write_text("in boot")
    (point / "etc" / "new").write_text("in root")
    session.unmount(str(point))
    assert tool("debugfs", "-R", "cat /new", f"{guest}?offset={5 * MIB}") == "in boot"
    assert tool("debugfs", "-R", "cat /etc/new", f"{guest}?offset={13 * MIB}") == "in root"
    if "\tvfat\n" not in pathlib.Path("/proc/filesystems").read_text():
        assert [text.partition(":")[0] for text in told] == [
            "/boot/efi of the guest is mounted read-only"
        ]


def test_mounting_a_guest_twice_finds_the_first(guest, way, ask_guest, point):
    first = session.mount(ask_guest(guest, way))
    assert session.mount(ask_guest(guest, way)) == first
    assert session.mounted(str(point)).healthy
    session.unmount(str(point))


def test_part_unmounted_by_hand_is_seen_and_cleaned(guest, way, ask_guest, point, tool, leftovers):
    session.mount(ask_guest(guest, way))
    tool("umount", point / "boot" / "efi")
    assert session.mounted(str(point)).problem == "it was unmounted by somebody else"
    assert session.sweep() == [str(point)]
    assert leftovers() == []


def test_busy_part_keeps_all_of_it(guest, way, ask_guest, point):
    found = session.mount(ask_guest(guest, way))
    with open(point / "boot" / "vmlinuz") as stream:
        with pytest.raises(
            MountFailed, match=rf"still in use, nothing was undone.*\({os.getpid()}\)"
        ):
            session.unmount(str(point))
        assert session.mounted(str(point)) == found
        assert stream.read() == "kernel"
    session.unmount(str(point))


MISSING = """\
UUID=dead /var ext4 defaults 0 2
UUID=gone /opt ext4 nofail 0 2
LABEL=data /nowhere ext4 defaults 0 2
LABEL=data /etc/fstab ext4 defaults 0 2
LABEL=data relative ext4 defaults 0 2
LABEL=data
"""


def test_what_is_missing_is_told(root, others, join, ask_guest, point):
    told = []
    path = join(*others, root(MISSING, folders=["var", "opt"]))
    found = session.mount(ask_guest(path), told.append)
    session.unmount(str(point))
    assert inside(found, point) == ["/"]
    assert [text.partition(" was not mounted: ")[0] for text in told] == [
        "/var of the guest (UUID=dead)",
        "/nowhere of the guest (LABEL=data)",
        "/etc/fstab of the guest (LABEL=data)",
    ]


def test_writable_guest_without_a_part_is_refused(root, others, join, ask_guest, leftovers):
    """Else what belongs to /boot/efi would be written to /boot."""
    path = join(*others, root())  # the partition of EFI has another GUID here
    with pytest.raises(MountFailed, match=r"/boot/efi of the guest \(PARTUUID=aaaaaaaa-"):
        session.mount(ask_guest(path, read_only=False))
    assert leftovers() == []


def test_second_disk_has_what_the_first_one_misses(root, others, join, ask_guest, point):
    efi, boot, data = others
    fstab = "/dev/sda1 / ext4\n/dev/sdb2 /boot ext4\n/dev/vdb1 /srv ext4\n"
    first = join(root(fstab, folders=["boot", "srv"]), efi, name="a.img")
    second = join(data, boot, name="b.img")
    found = session.mount(ask_guest(first, further=[second]))
    contents = [(point / name).read_text() for name in ("boot/vmlinuz", "srv/file")]
    session.unmount(str(point))
    assert contents == ["kernel", "data"]
    assert [part["name"] for part in found.parts] == [None, "disk1/2", "disk1/1"]


LIARS = {"absolute": "/", "upwards": "../../../../../../..", "host": "/proc/self/root/tmp"}


def test_links_lead_nowhere_but_into_the_guest(root, others, join, ask_guest, point):
    lines = [f"LABEL=data /{link}/boot ext4\n" for link in LIARS]
    path = join(root("".join(lines), folders=["boot", "tmp/boot"], links=LIARS.items()), others[2])
    told = []
    found = session.mount(ask_guest(path), told.append)
    session.unmount(str(point))
    assert inside(found, point) == ["/", "/boot"]
    assert ["was not mounted: something else of it is mounted there" in text for text in told] == [
        True,
        False,  # the guest has no /proc
    ]


def test_nothing_is_mounted_over_the_root(root, others, join, ask_guest, point):
    lines = [
        f"LABEL=data {place} ext4\n" for place in ("/..", "/../../..", "/", "/etc/..", "/link")
    ]
    path = join(root("".join(lines), links=[("link", "..")]), others[2])
    found = session.mount(ask_guest(path))
    assert (point / "etc" / "fstab").exists()
    session.unmount(str(point))
    assert inside(found, point) == ["/"]


def test_place_is_taken_once_and_places_are_limited(root, others, join, ask_guest, point):
    fstab = "".join(f"LABEL=data /srv/{number % 70} ext4\n" for number in range(90))
    folders = [f"srv/{number}" for number in range(70)]
    path = join(root(fstab, folders=folders), others[2])
    told = []
    found = session.mount(ask_guest(path), told.append)
    session.unmount(str(point))
    assert len(found.parts) == 64
    assert any("64 volumes are mounted already" in text for text in told)
    assert any("something else of it is mounted there" in text for text in told)


def test_endless_fstab_is_refused_soon(root, join, ask_guest, leftovers):
    path = join(root("LABEL=data /home ext4\n" * 40_000))
    began = time.monotonic()
    with pytest.raises(InvalidRequest, match="names more than 256 volumes"):
        session.mount(ask_guest(path))
    assert time.monotonic() - began < 60
    assert leftovers() == []


def test_absurd_fstab_mounts_the_root(root, join, ask_guest, point):
    path = join(root("\x00\xff\n = = = =\n/dev/ /\\777 x\nUUID= /boot\nLABEL=\\ /boot ext4 \\\n"))
    found = session.mount(ask_guest(path), [].append)
    session.unmount(str(point))
    assert inside(found, point) == ["/"]


def test_two_roots_are_told_and_one_can_be_chosen(root, filled, join, ask_guest, point, leftovers):
    other = filled("other", 8, {"etc/os-release": "ID=rescue\n"}, "-L", "rescue")
    path = join(root("# nothing\n"), other)
    with pytest.raises(InvalidRequest, match=r"more than one volume is the root.*rescue"):
        session.mount(ask_guest(path))
    assert leftovers() == []
    session.mount(ask_guest(path, volume="rescue"))
    content = (point / "etc" / "os-release").read_text()
    session.unmount(str(point))
    assert content == "ID=rescue\n"


def test_disk_without_a_guest_is_told(others, join, ask_guest, leftovers):
    with pytest.raises(InvalidRequest, match="no volume looks like the root of a guest"):
        session.mount(ask_guest(join(*others)))
    assert leftovers() == []


@pytest.fixture
def guest_in_lvm(image, tool, root, filled):
    """Linear volumes, with a hyphen in a name."""
    parts = [
        root("/dev/mapper/vg0-my--root / ext4\n/dev/vg0/var /var ext4\n", folders=["var"]),
        filled("var", 4, {"file": "var"}),
    ]
    path = image(40 * MIB)
    device = tool("losetup", "--find", "--show", path).strip()
    lvm = ["--driverloaded", "n", "--config", f'devices{{filter=["a|^{device}$|","r|.*|"]}}']
    try:
        tool("vgcreate", *lvm, "vg0", device)
        for name, size in (("my-root", 12), ("var", 4)):
            new = ["-an", "-Zn", "-Wn", "-n", name, "-L", f"{size}M"]
            tool("lvcreate", *lvm, *new, "vg0")
    finally:
        tool("losetup", "--detach", device)
    with open(path, "r+b") as stream:
        for start, part in zip((1, 13), parts, strict=True):  # of extents of 4 MiB behind the first
            stream.seek(start * MIB)
            stream.write(part.read_bytes())
    return path


def test_guest_in_logical_volumes(guest_in_lvm, way, ask_guest, point):
    found = session.mount(ask_guest(guest_in_lvm, way))
    content = (point / "var" / "file").read_text()
    session.unmount(str(point))
    assert (inside(found, point), content) == (["/", "/var"], "var")
