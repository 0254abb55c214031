# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage to header and tables of sparse extents, byte by byte, and what a check says of it."""

from __future__ import annotations

import dataclasses
import struct
from random import Random

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SECTOR,
    SparseHeader,
)

GRAIN, MIB = 64 << 10, 1 << 20
# What a disk holds at which byte: grains 0 to 3 of its first table, and grain 600, of the second.
TWO_TABLES = {0: Random(1).randbytes(4 * GRAIN), 600 * GRAIN: b"\x22" * GRAIN}


def poke(path, offset, data):
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def header_of(path):
    with path.open("rb") as stream:
        return SparseHeader.parse(stream.read(SECTOR), str(path))


def put_header(path, **fields):
    poke(path, 0, dataclasses.replace(header_of(path), **fields).pack())


def table_offset(path, directory, number=0):
    """Byte of the file where a table lies that the directory at that sector names."""
    place = struct.unpack_from("<I", path.read_bytes(), directory * SECTOR + 4 * number)[0]
    return place * SECTOR


def entry_of(path, grain, directory=None):
    """Byte of the file where the table entry of a grain lies; the primary one if not said."""
    header = header_of(path)
    number, index = divmod(grain, header.gtes_per_gt)
    directory = header.gd_offset if directory is None else directory
    return table_offset(path, directory, number) + 4 * index


def get_entry(path, grain):
    return struct.unpack_from("<I", path.read_bytes(), entry_of(path, grain))[0]


def put_entry(path, grain, value, *, both=False):
    header = header_of(path)
    directories = (header.gd_offset, header.rgd_offset) if both else (header.gd_offset,)
    for directory in directories:
        poke(path, entry_of(path, grain, directory), struct.pack("<I", value))


def kinds(path, **options):
    return sorted({found.kind for found in check_disk(path, **options) if found.severity != "note"})


def the_one(path, kind):
    (found,) = [found for found in check_disk(path) if found.kind == kind]
    return found
