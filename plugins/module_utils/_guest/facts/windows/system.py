# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a Windows guest is, what it runs and who its users are, as its registry has it."""

from __future__ import annotations

import datetime
import typing as t

from ..package import Package

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .hive import Key
    from .registry import Registry

_VERSION = "Microsoft\\Windows NT\\CurrentVersion"
_PROFILES = f"{_VERSION}\\ProfileList"
_UNINSTALL = "Microsoft\\Windows\\CurrentVersion\\Uninstall"
_ELEVEN = 22000  # builds from here on are of Windows 11, although their name says 10
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "x86": "i686"}
_STARTS = ("boot", "system", "auto", "manual", "disabled")  # SERVICE_*_START
_AUTOMATIC = ("boot", "system", "auto")
_PROGRAMS = 0x30  # SERVICE_WIN32: what is no driver
_EPOCH = datetime.datetime(1601, 1, 1, tzinfo=datetime.timezone.utc)  # of FILETIME, in 100 ns
_FLAGS, _DISABLED = 56, 1  # in the value F of an account: ACB_DISABLED


def system(registry: Registry) -> dict[str, t.Any]:
    """As system.system() tells it of others. Raises DiskIOError, CorruptDisk."""
    version = registry.software(_VERSION)
    return {
        "id": "windows",
        "name": version and _product(version),
        "version": version and _numbers(version),
        "family": "windows",
        "hostname": _text(registry.control("Control\\ComputerName\\ComputerName"), "ComputerName"),
        "machine_id": _text(registry.software("Microsoft\\Cryptography"), "MachineGuid"),
        "timezone": _text(registry.control("Control\\TimeZoneInformation"), "TimeZoneKeyName"),
        "architecture": architecture(registry),
    }


def windows(registry: Registry) -> dict[str, t.Any]:
    """What only a Windows has to tell. Raises DiskIOError, CorruptDisk."""
    version = registry.software(_VERSION)
    shutdown = registry.control("Control\\Windows")
    stopped = shutdown and shutdown.value("ShutdownTime")
    return {
        "edition": _text(version, "EditionID"),
        "release": _text(version, "DisplayVersion") or _text(version, "ReleaseId"),
        "build": version and _build(version),
        "installed": version and _installed(version),
        "last_shutdown": stopped and _moment(int.from_bytes(stopped.data[:8], "little")),
        "services": [
            {"name": name, "start": start}
            for name, start, is_driver in _services(registry)
            if not is_driver
        ],
    }


def architecture(registry: Registry) -> str | None:
    """As `uname -m` would say it."""
    environment = registry.control("Control\\Session Manager\\Environment")
    name = _text(environment, "PROCESSOR_ARCHITECTURE")
    return None if name is None else _MACHINES.get(name.lower(), name)


def services(registry: Registry) -> list[str]:
    """What starts with the system, by name, drivers left out. Raises DiskIOError, CorruptDisk."""
    return sorted(
        name
        for name, start, is_driver in _services(registry)
        if start in _AUTOMATIC and not is_driver
    )


def packages(registry: Registry) -> list[Package]:
    """What is installed as "Programs and Features" lists it. Raises DiskIOError, CorruptDisk."""
    own = architecture(registry) or ""
    found = {*_programs(registry.software(_UNINSTALL), own)}
    found.update(_programs(registry.software(f"WOW6432Node\\{_UNINSTALL}"), "i686"))
    return sorted(found)


def users(registry: Registry) -> list[dict[str, t.Any]]:
    """Of this machine, not of its domain; never a password. Raises DiskIOError, CorruptDisk."""
    names = registry.accounts("Users\\Names")
    homes = dict(_homes(registry.software(_PROFILES)))
    found = []
    for key in names.subkeys() if names else ():
        own = key.value("")
        number = own.kind if own else None  # its type is the account's number
        found.append(
            {
                "name": key.name,
                "uid": number,
                "gid": None,
                "home": homes.get(str(number)),
                "shell": None,
                "password": "locked" if _is_disabled(registry, number) else "unknown",
            }
        )
    return found


def _text(key: Key | None, name: str) -> str | None:
    return (key and key.text(name)) or None


def _product(version: Key) -> str | None:
    name, build = version.text("ProductName"), _build(version) or ""
    if build.isdigit() and int(build) >= _ELEVEN and "Server" not in name:
        name = name.replace("Windows 10", "Windows 11")
    return name or None


def _build(version: Key) -> str | None:
    return version.text("CurrentBuildNumber") or version.text("CurrentBuild") or None


def _numbers(version: Key) -> str | None:
    """10.0.20348.2113, or 6.1.7601 of older ones."""
    major, minor = (version.number(f"Current{each}VersionNumber") for each in ("Major", "Minor"))
    first = version.text("CurrentVersion") if major is None else f"{major}.{minor or 0}"
    revision = version.number("UBR")
    parts = (first, _build(version), None if revision is None else str(revision))
    return ".".join(filter(None, parts)) or None


def _installed(version: Key) -> str | None:
    seconds = version.number("InstallDate")
    if not seconds:
        return None
    return _written(datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc))


def _moment(ticks: int) -> str | None:
    try:
        return _written(_EPOCH + datetime.timedelta(microseconds=ticks // 10)) if ticks else None
    except OverflowError:
        return None


def _written(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _services(registry: Registry) -> Iterator[tuple[str, str, bool]]:
    """Name, how it starts, and whether it is a driver."""
    folder = registry.control("Services")
    for key in folder.subkeys() if folder else ():
        kind, start = key.number("Type"), key.number("Start")
        if kind is not None and start is not None and start < len(_STARTS):
            yield key.name, _STARTS[start], not kind & _PROGRAMS


def _programs(folder: Key | None, arch: str) -> Iterator[Package]:
    for key in folder.subkeys() if folder else ():
        name = key.text("DisplayName")
        if name and not key.number("SystemComponent"):
            yield Package(name, key.text("DisplayVersion"), arch, "windows")


def _homes(folder: Key | None) -> Iterator[tuple[str, str]]:
    """By the last number of the SID, which is the account's."""
    for key in folder.subkeys() if folder else ():
        if key.name.startswith("S-1-5-21-"):
            yield key.name.rpartition("-")[2], key.text("ProfileImagePath")


def _is_disabled(registry: Registry, number: int | None) -> bool:
    key = None if number is None else registry.accounts(f"Users\\{number:08X}")
    value = None if key is None else key.value("F")
    if value is None:
        return False
    return bool(int.from_bytes(value.data[_FLAGS : _FLAGS + 2], "little") & _DISABLED)
