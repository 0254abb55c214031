# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Debian's packages: /var/lib/dpkg/status (dpkg(1), deb-control(5)), or one file each in status.d,
as images without dpkg have them."""

from __future__ import annotations

import typing as t

from .package import Package

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .root import GuestRoot

STATUS = "/var/lib/dpkg/status"
PARTS = "/var/lib/dpkg/status.d"


def packages(root: GuestRoot) -> list[Package]:
    """Those that are installed, also where their set-up failed. Raises DiskIOError."""
    found = _installed(root.text(STATUS), needs_status=True)
    for name in root.names(PARTS):
        if not name.endswith(".md5sums"):
            found += _installed(root.text(f"{PARTS}/{name}"), needs_status=False)
    return found


def _installed(text: str, *, needs_status: bool) -> list[Package]:
    return [
        Package(
            entry["package"],
            entry.get("version", ""),
            entry.get("architecture", ""),
            "dpkg",
            entry.get("source", "").partition(" ")[0],
        )
        for entry in _paragraphs(text)
        if "package" in entry and (not needs_status or _is_there(entry.get("status", "")))
    ]


def _is_there(status: str) -> bool:
    """The third word is what is true now; the first one only what is wanted."""
    words = status.split()
    return len(words) == 3 and words[2] not in ("not-installed", "config-files")


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The fields of each, by their names in lower case; without lines that go on."""
    for paragraph in text.split("\n\n"):
        fields = {}
        for line in paragraph.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line[:1].isspace():
                fields[name.lower()] = value.strip()
        if fields:
            yield fields
