# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the package managers of a guest have installed, read from their databases."""

from __future__ import annotations

import typing as t


class Package(t.NamedTuple):
    """`version` as the package manager writes it. `source` is what it was built from, if told."""

    name: str
    version: str
    arch: str
    manager: str  # dpkg, rpm or apk
    source: str = ""

    def as_dict(self) -> dict[str, str]:
        """For results."""
        return self._asdict()
