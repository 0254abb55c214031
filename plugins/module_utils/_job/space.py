# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How much room a copy takes, before it is made."""

from __future__ import annotations

import typing as t

from .._device.extent import Kind, widen_data
from .._vmdk.descriptor.types import STREAM_OPTIMIZED
from .._vmdk.extents.header import GTES_PER_GT, SECTOR
from .._vmdk.extents.layout import (
    DESCRIPTOR_SECTORS,
    extent_lines,
    is_embedded,
    is_flat,
    sparse_header,
)

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice
    from .target import Target

_GRAIN = 64 << 10
_BLOCK = 4096  # what file systems give files
_DESCRIPTOR_LINE = 64  # bytes, about


def space_needed(source: BlockDevice, target: Target) -> int:
    """Bytes that the files of a copy take at most, going by what the source says it holds."""
    spec, content = target.spec, _grains(source) * _GRAIN
    if target.disk_type == "raw":
        return min(content, -(-source.size // _BLOCK) * _BLOCK)
    if spec.disk_type == STREAM_OPTIMIZED:
        return _stream(content // _GRAIN, spec.size)
    lines = extent_lines(target.reference.text, spec)
    if is_embedded(spec):
        return content + sparse_header(lines[0].sectors, DESCRIPTOR_SECTORS).overhead * SECTOR
    text = DESCRIPTOR_SECTORS * SECTOR + _DESCRIPTOR_LINE * len(lines)
    if is_flat(spec):
        return text + (spec.size if spec.preallocate else min(content, spec.size))
    return text + content + sum(sparse_header(line.sectors, 0).overhead for line in lines) * SECTOR


def _grains(source: BlockDevice) -> int:
    """How many grains have content, if only a byte."""
    runs = widen_data(source.extents(), _GRAIN, source.size)
    return sum(-(-run.length // _GRAIN) for run in runs if run.kind is Kind.DATA)


def _stream(grains: int, size: int) -> int:
    """No grain grows by more than deflate's own bound (zlib's compressBound)."""
    bound = _GRAIN + (_GRAIN >> 12) + (_GRAIN >> 14) + 13
    each = -(-(12 + bound) // SECTOR) * SECTOR
    tables = -(-size // (_GRAIN * GTES_PER_GT))
    table = SECTOR + 4 * GTES_PER_GT
    header = (1 + DESCRIPTOR_SECTORS + 128) * SECTOR  # padded to a grain
    footer = 3 * SECTOR
    return header + grains * each + tables * (table + 4) + 2 * SECTOR + footer
