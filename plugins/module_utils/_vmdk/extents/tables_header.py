# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What grain tables and their readers ask of an extent's header, of whatever format."""

from __future__ import annotations

import typing as t


class TablesHeader(t.Protocol):
    """Sizes and places are in sectors."""

    header_sectors: t.ClassVar[int]

    @property
    def capacity(self) -> int: ...
    @property
    def grain_size(self) -> int: ...
    @property
    def gtes_per_gt(self) -> int: ...
    @property
    def directory_entries(self) -> int: ...
    @property
    def gd_offset(self) -> int: ...
    @property
    def rgd_offset(self) -> int: ...
    @property
    def has_redundant_tables(self) -> bool: ...
    @property
    def has_zeroed_grains(self) -> bool: ...
    @property
    def unclean(self) -> bool: ...
