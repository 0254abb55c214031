# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Alpine's packages: lib/apk/db/installed, lines of one letter and a value (apk-package(5))."""

from __future__ import annotations

import typing as t

from .package import Package

if t.TYPE_CHECKING:
    from .root import GuestRoot

DATABASES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")


def packages(root: GuestRoot) -> list[Package]:
    """Raises DiskIOError."""
    text = next(filter(None, map(root.text, DATABASES)), "")
    found = []
    for paragraph in text.split("\n\n"):
        lines = (line.partition(":") for line in paragraph.splitlines())
        fields = {name: value for name, _colon, value in lines if name in ("P", "V", "A", "o")}
        if "P" in fields:
            get = fields.get
            found.append(Package(fields["P"], get("V", ""), get("A", ""), "apk", get("o", "")))
    return found
