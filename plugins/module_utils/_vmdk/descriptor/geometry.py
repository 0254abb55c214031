# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Cylinders, heads and sectors that a BIOS is told for a disk of some size."""

from __future__ import annotations

import typing as t

_GIB_SECTORS = 1 << 21


class Geometry(t.NamedTuple):
    """What ddb.geometry.* says."""

    cylinders: int
    heads: int
    sectors: int


def geometry_for(capacity: int, adapter_type: str) -> Geometry:
    """The geometry VMware gives a disk of `capacity` sectors (OV sparse.c)."""
    if adapter_type == "ide":
        return _fit(capacity, 16, 63, 16383)
    if capacity < _GIB_SECTORS:
        return _fit(capacity, 64, 32, 65535)
    if capacity < 2 * _GIB_SECTORS:
        return _fit(capacity, 128, 32, 65535)
    return _fit(capacity, 255, 63, 65535)


def _fit(capacity: int, heads: int, sectors: int, most: int) -> Geometry:
    return Geometry(max(1, min(capacity // (heads * sectors), most)), heads, sectors)
