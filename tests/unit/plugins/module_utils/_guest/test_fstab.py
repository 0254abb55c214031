# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of fstab, and which volume each of them means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import fstab
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.mountables import Mountable

CONTAINER = "0d8a8f0e-58a6-4b7d-a4b7-0e2f6a1c7d11"


def volume(number=None, name=None, *, label=None, uuid=None, part_uuid=None, part_label=None):
    shown = {"number": number, "name": name, "label": label, "uuid": uuid}
    return Mountable("disk.raw", 0, 512, shown, "ext4", part_uuid, part_label, "", False)


VOLUMES = {
    "efi": volume(1, "EFI system", uuid="ABCD-1234", part_uuid="AA-01", part_label="EFI system"),
    "boot": volume(2, label="boot disk", uuid="b0"),
    "whole": volume(0, "whole"),
    "second": volume(None, "disk1/2", label="two"),
    "third": volume(None, "disk2"),
    "root": volume(None, "vg0/root", label="root"),
    "hyphens": volume(None, "vg-0/my-root"),
    "clone": volume(None, "vg1@AbC1dE/root"),
    "secret": volume(None, f"luks-{CONTAINER}"),
}
FOUND = [
    ("UUID=abcd-1234", "efi"),
    ('UUID="ABCD-1234"', "efi"),
    ("/dev/disk/by-uuid/ABCD-1234", "efi"),
    ("PARTUUID=aa-01", "efi"),
    ("/dev/disk/by-partuuid/aa-01", "efi"),
    ("PARTLABEL=EFI system", "efi"),
    (r"/dev/disk/by-partlabel/EFI\x20system", "efi"),
    ("LABEL=boot disk", "boot"),
    (r"/dev/disk/by-label/boot\x20disk", "boot"),
    ("/dev/sda2", "boot"),
    ("/dev/vda2", "boot"),
    ("/dev/xvda2", "boot"),
    ("/dev/nvme0n1p2", "boot"),
    ("/dev/sda", "whole"),
    ("/dev/sdb2", "second"),
    ("/dev/nvme1n1p2", "second"),
    ("/dev/sdc", "third"),
    ("/dev/vg0/root", "root"),
    ("/dev/mapper/vg0-root", "root"),
    ("/dev/mapper/vg--0-my--root", "hyphens"),
    ("/dev/vg-0/my-root", "hyphens"),
    ("/dev/vg1/root", "clone"),
    ("/dev/mapper/vg1-root", "clone"),
    ("/dev/mapper/sda3_crypt", "secret"),
    (f"/dev/mapper/luks-{CONTAINER}", "secret"),
]
MISSING = ["UUID=", "UUID=b", "LABEL=", "LABEL=Boot disk", "PARTLABEL=", "/dev/sda3", "/dev/sdz1"]
MISSING += ["/dev/nvme7n1p1", "/dev/mapper/", "/dev/", "/dev/vg0", "/etc/passwd", "=", "FOO=bar"]


def find(spec):
    crypts = fstab.crypt_names(f"# names\nsda3_crypt UUID={CONTAINER.upper()} none luks\nother\n")
    found = fstab.find(spec, list(VOLUMES.values()), crypts)
    return [name for name, one in VOLUMES.items() if one in found]


@pytest.mark.parametrize(("spec", "name"), FOUND)
def test_volume_is_found_by(spec, name):
    assert find(spec) == [name]


@pytest.mark.parametrize("spec", MISSING)
def test_nothing_is_found_by(spec):
    assert find(spec) == []


PASSED_OVER = [
    "# UUID=1 / ext4",
    "",
    "UUID=1",
    "UUID=1 none swap sw 0 0",
    "UUID=1 swap swap sw",
    "nas:/export /srv nfs defaults",
    "//nas/share /srv cifs defaults",
    "tmpfs /tmp tmpfs defaults",
    "proc /proc proc defaults",
    "/srv /opt none bind",
    "/dev/sda1 /opt ext4 ro,noauto",
    "LABEL=x /opt ext4 _netdev",
    "sshfs#me@host: /mnt fuse defaults",
    "/dev/sda1 /mnt fuse.sshfs defaults",
    "LABEL=x opt ext4",
]


@pytest.mark.parametrize("line", PASSED_OVER)
def test_line_is_passed_over(line):
    assert list(fstab.entries(line)) == []


def test_fields_are_read_as_the_guest_reads_them():
    text = "LABEL=my\\040data\t/srv/a\\040b  ext4\n/dev/sda1 /x auto nofail,subvol=/@x\n"
    first, second = fstab.entries(text)
    assert first == ("LABEL=my data", "/srv/a b", "ext4", ())
    assert (first.required, second.required) == (True, False)
    assert (first.subvolume, second.subvolume) == (None, "subvol=/@x")


@pytest.mark.parametrize("option", ['subvol="a', "subvol=", "subvol=a\\b", "subvol=\x01"])
def test_subvolume_that_could_be_something_else_is_none(option):
    (entry,) = fstab.entries(f"LABEL=x /x btrfs {option}")
    assert entry.subvolume is None


@given(st.text())
def test_any_text_is_read(text):
    for entry in fstab.entries(text):
        assert entry.point.startswith("/")
        fstab.find(entry.spec, list(VOLUMES.values()), fstab.crypt_names(text))
