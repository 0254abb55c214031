# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What differs between two lists of packages."""

from __future__ import annotations

import typing as t

_Package = dict[str, t.Any]


def compare_packages(before: list[_Package], after: list[_Package]) -> dict[str, list[_Package]]:
    """Of one name and architecture there may be several versions, such as kernels of rpm."""
    old, new = _versions(before), _versions(after)
    found: dict[str, list[_Package]] = {"added": [], "removed": [], "changed": []}
    for key in sorted(old.keys() | new.keys()):
        gone = sorted(old.get(key, set()) - new.get(key, set()))
        came = sorted(new.get(key, set()) - old.get(key, set()))
        if len(gone) == len(came) == 1:
            found["changed"].append(_told(key, gone[0], came[0]))
            continue
        found["removed"] += [_told(key, version, None) for version in gone]
        found["added"] += [_told(key, None, version) for version in came]
    return found


def _versions(packages: list[_Package]) -> dict[tuple[str, str, str], set[str]]:
    found: dict[tuple[str, str, str], set[str]] = {}
    for package in packages:
        key = (package["name"], package["arch"], package["manager"])
        found.setdefault(key, set()).add(package["version"])
    return found


def _told(key: tuple[str, str, str], old: str | None, new: str | None) -> _Package:
    name, arch, manager = key
    return {"name": name, "arch": arch, "manager": manager, "from": old, "to": new}
