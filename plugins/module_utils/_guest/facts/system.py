# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What system a guest is, without running anything of it."""

from __future__ import annotations

import struct
import typing as t

if t.TYPE_CHECKING:
    from .root import GuestRoot

_RELEASES = ("/etc/os-release", "/usr/lib/os-release")  # os-release(5)
_FAMILIES = {
    "debian": "debian", "ubuntu": "debian", "rhel": "redhat", "fedora": "redhat",
    "centos": "redhat", "suse": "suse", "opensuse": "suse", "alpine": "alpine", "arch": "arch",
}  # fmt: skip
_MANAGERS = {
    "apt": "/usr/bin/apt-get", "dnf": "/usr/bin/dnf", "zypper": "/usr/bin/zypper",
    "yum": "/usr/bin/yum", "apk": "/sbin/apk", "pacman": "/usr/bin/pacman",
}  # fmt: skip
_PROGRAMS = ("/bin/sh", "/usr/bin/env", "/sbin/init", "/bin/busybox")
_MACHINES = {  # e_machine of ELF, as `uname -m` says it
    3: "i686", 8: "mips", 21: "ppc64", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64",
    243: "riscv64", 258: "loongarch64",
}  # fmt: skip
_ZONES = "zoneinfo/"
_MODULES = ("/lib/modules", "/usr/lib/modules")
NOTHING: dict[str, t.Any] = {
    **dict.fromkeys(("id", "name", "version", "family", "hostname", "machine_id", "timezone")),
    "architecture": None, "kernels": [], "package_manager": None,
}  # fmt: skip


def system(root: GuestRoot) -> dict[str, t.Any]:
    """Values are None where nobody can tell. Raises DiskIOError."""
    release = os_release(root)
    return {
        "id": release.get("ID"),
        "name": release.get("PRETTY_NAME") or release.get("NAME"),
        "version": release.get("VERSION_ID"),
        "family": _family(release),
        "hostname": root.text("/etc/hostname").strip() or None,
        "machine_id": root.text("/etc/machine-id").strip() or None,
        "timezone": _timezone(root),
        "architecture": architecture(root),
        "kernels": _kernels(root),
        "package_manager": next(
            (name for name, path in _MANAGERS.items() if root.status(path) is not None), None
        ),
    }


def os_release(root: GuestRoot) -> dict[str, str]:
    """Empty where there is none."""
    text = next(filter(None, map(root.text, _RELEASES)), "")
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): _unquoted(value.strip()) for name, equals, value in pairs if equals}


def architecture(root: GuestRoot) -> str | None:
    """Of its programs, as `uname -m` would say."""
    for path in _PROGRAMS:
        with root.opened(path) as stream:
            head = b"" if stream is None else stream.read(20)
        if head[:4] == b"\x7fELF" and len(head) == 20:
            order = ">" if head[5] == 2 else "<"
            number = struct.unpack(f"{order}H", head[18:])[0]
            name = _MACHINES.get(number, f"ELF machine {number}")
            return f"{name}le" if (name, order) == ("ppc64", "<") else name
    return None


def _family(release: dict[str, str]) -> str | None:
    """By its own id, else by those that it says it is like."""
    for word in (release.get("ID", ""), *release.get("ID_LIKE", "").split()):
        if word in _FAMILIES:
            return _FAMILIES[word]
    return None


def _timezone(root: GuestRoot) -> str | None:
    link = root.link("/etc/localtime") or ""
    if _ZONES in link:
        return link.partition(_ZONES)[2]
    return root.text("/etc/timezone").strip() or None


def _kernels(root: GuestRoot) -> list[str]:
    """Versions, the one that was installed last at the end."""
    folder = next((each for each in _MODULES if root.names(each)), _MODULES[0])
    found = [(root.status(f"{folder}/{name}"), name) for name in root.names(folder)]
    return [name for _time, name in sorted((s.st_mtime, name) for s, name in found if s)]


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1].replace('\\"', '"').replace("\\$", "$").replace("\\\\", "\\")
    return value
