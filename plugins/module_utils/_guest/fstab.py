# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The table of file systems of a guest, fstab(5): which volume it would have mounted where."""

from __future__ import annotations

import re
import typing as t

from .request import is_plain

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .mountables import Mountable

# What is no volume of a disk, or nothing to look into.
_OTHER_KINDS = frozenset(
    (
        *(
            "swap",
            "none",
            "ignore",
            "auto.nfs",
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "9p",
            "ceph",
        ),
        *("tmpfs", "ramfs", "proc", "sysfs", "devpts", "devtmpfs", "debugfs", "tracefs", "overlay"),
        *("cgroup", "cgroup2", "hugetlbfs", "mqueue", "efivarfs", "binfmt_misc", "securityfs"),
        *("configfs", "virtiofs", "vboxsf", "sshfs", "glusterfs", "lustre", "autofs"),
    )
)
_SKIPPED_OPTIONS = frozenset(("noauto", "bind", "rbind", "_netdev"))
_BY_LINK = {
    "/dev/disk/by-uuid/": "UUID",
    "/dev/disk/by-label/": "LABEL",
    "/dev/disk/by-partuuid/": "PARTUUID",
    "/dev/disk/by-partlabel/": "PARTLABEL",
}
_BY_ORDER = re.compile(r"/dev/(?:(?:sd|vd|xvd|hd)([a-z])(\d*)|nvme(\d+)n1(?:p(\d+))?)")
_SUBVOLUME = re.compile(r"subvol(?:id)?=.+")


class Entry(t.NamedTuple):
    """A line that names a volume of a disk."""

    spec: str
    point: str
    kind: str
    options: tuple[str, ...]

    @property
    def required(self) -> bool:
        """Whether the guest would not start without it."""
        return not {"nofail", "x-systemd.automount"} & set(self.options)

    @property
    def subvolume(self) -> str | None:
        """The option that names one of btrfs."""
        found = [option for option in self.options if _SUBVOLUME.fullmatch(option)]
        return found[-1] if found and is_plain(found[-1]) else None


def entries(text: str) -> Iterator[Entry]:
    """The lines that mount volumes of disks when the guest starts; others are passed over."""
    for line in text.splitlines():
        fields = [_unescape(field) for field in line.split()]
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        spec, point = fields[:2]
        kind = fields[2] if len(fields) > 2 else "auto"
        options = tuple(fields[3].split(",")) if len(fields) > 3 else ()
        entry = Entry(spec, point, kind, options)
        if _is_volume(entry):
            yield entry


def _is_volume(entry: Entry) -> bool:
    if entry.kind in _OTHER_KINDS or entry.kind.startswith("fuse."):
        return False
    if set(entry.options) & _SKIPPED_OPTIONS or not entry.point.startswith("/"):
        return False
    return "=" in entry.spec or entry.spec.startswith("/dev/")


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def crypt_names(text: str) -> dict[str, str]:
    """Of crypttab(5): the UUID of what each name in /dev/mapper unlocks."""
    names = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 1 and not fields[0].startswith("#"):
            key, value = _tag(fields[1])
            if key == "UUID":
                names[fields[0]] = value.lower()
    return names


def find(spec: str, volumes: Sequence[Mountable], crypts: dict[str, str]) -> list[Mountable]:
    """The volumes that answer to what the first field of a line says."""
    key, value = _tag(spec)
    if key == "UUID":
        return [one for one in volumes if _same(one.shown["uuid"], value)]
    if key == "LABEL":
        return [one for one in volumes if one.shown["label"] == value]
    if key == "PARTUUID":
        return [one for one in volumes if _same(one.part_uuid, value)]
    if key == "PARTLABEL":
        return [one for one in volumes if one.part_label == value]
    names = _names(spec, crypts)
    return [one for one in volumes if names & _own_names(one)]


def _tag(spec: str) -> tuple[str, str]:
    """("", spec) for one that is a path."""
    for prefix, key in _BY_LINK.items():
        if spec.startswith(prefix):
            return key, re.sub(
                r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), spec[len(prefix) :]
            )
    key, equals, value = spec.partition("=")
    return (key, value.strip("\"'")) if equals and "/" not in key else ("", spec)


def _same(own: str | None, value: str) -> bool:
    return own is not None and own.lower() == value.lower()


def _names(path: str, crypts: dict[str, str]) -> set[str]:
    """What a volume may be called here that the guest knows by this path."""
    numbers = _BY_ORDER.fullmatch(path)
    if numbers:
        letter, part, drive, drive_part = numbers.groups()
        disk = ord(letter) - ord("a") if letter else int(drive)
        return {f"{disk}/{part or drive_part or 0}"}
    mapped = path.removeprefix("/dev/mapper/")
    if mapped in crypts:
        return {f"luks-{crypts[mapped]}"}
    if mapped != path:
        # A hyphen inside a name is doubled: vg--0-root is vg-0/root.
        group, _hyphen, name = re.sub(r"(?<!-)-(?!-)", "/", mapped, count=1).partition("/")
        return {mapped, f"{group}/{name}".replace("--", "-")}
    return {path.removeprefix("/dev/")}


def _own_names(one: Mountable) -> set[str]:
    """With those of partitions as `disk/number`."""
    name, number = one.shown["name"], one.shown["number"]
    if number is not None:
        return {f"0/{number}"}
    further = re.fullmatch(r"disk(\d+)(?:/(\d+))?", name)
    if further:
        return {f"{further[1]}/{further[2] or 0}"}
    return {re.sub(r"@[^/]*/", "/", name)}
