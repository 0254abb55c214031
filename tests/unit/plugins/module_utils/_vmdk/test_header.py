# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The header of a sparse extent."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    NotADisk,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    COMPRESSED,
    MARKERS,
    SECTOR,
    TEMPORARY_MAGIC,
    SparseHeader,
)

# The first bytes of a disk made by VMware (strozfriedberg/vmdk-rs, monolithicSparse.vmdk).
VMWARE = bytes.fromhex(
    "4b444d56010000000300000000500000000000008000000000000000010000000000000014000000"
    "000000000002000015000000000000001a00000000000000800000000000000000"
    "0a200d0a0000"
).ljust(SECTOR, b"\0")


def _parse(**changes):
    return SparseHeader.parse(SparseHeader(capacity=20480, **changes).pack(), "disk.vmdk")


def test_parse_vmwares_header():
    header = SparseHeader.parse(VMWARE, "disk.vmdk")
    assert header == SparseHeader(
        capacity=20480,
        descriptor_offset=1,
        descriptor_size=20,
        rgd_offset=21,
        gd_offset=26,
        overhead=128,
    )


def test_pack_is_vmwares_header():
    assert SparseHeader.parse(VMWARE, "disk.vmdk").pack() == VMWARE


def test_unclean_shutdown_is_kept():
    assert _parse(unclean=True).unclean


def test_counts_round_up():
    header = SparseHeader(capacity=65536 + 1)
    assert (header.directory_entries, header.grains) == (2, 513)


def test_another_magic_is_no_disk():
    with pytest.raises(NotADisk):
        SparseHeader.parse(b"COWD" + VMWARE[4:], "disk.vmdk")


def test_short_block_is_no_disk():
    with pytest.raises(NotADisk):
        SparseHeader.parse(VMWARE[:100], "disk.vmdk")


def test_unfinished_extent_is_told():
    with pytest.raises(CorruptDisk, match="never finished"):
        SparseHeader.parse(TEMPORARY_MAGIC + VMWARE[4:], "disk.vmdk")


def test_text_mode_damage_is_told():
    with pytest.raises(CorruptDisk, match=r"text mode.*binary"):
        SparseHeader.parse(VMWARE.replace(b"\n \r\n", b"\n \n\0"), "disk.vmdk")


def test_newlines_are_not_looked_at_without_their_flag():
    block = bytearray(VMWARE.replace(b"\n \r\n", b"\n \n\0"))
    block[8] = 2
    assert SparseHeader.parse(block, "disk.vmdk").capacity == 20480


@pytest.mark.parametrize("version", [0, 4])
def test_unknown_version_is_refused(version):
    with pytest.raises(UnsupportedDisk, match="version"):
        _parse(version=version)


def test_unknown_incompatible_flag_is_refused():
    with pytest.raises(UnsupportedDisk, match="0x100000"):
        _parse(flags=3 | 0x100000)


def test_unknown_compatible_flag_is_fine():
    assert _parse(flags=3 | 0x8000).flags == 3 | 0x8000


def test_markers_without_compression_are_refused():
    with pytest.raises(CorruptDisk, match="markers"):
        _parse(flags=3 | MARKERS)


def test_unknown_compression_is_refused():
    with pytest.raises(UnsupportedDisk, match="compression"):
        _parse(flags=3 | COMPRESSED, compression=2)


@pytest.mark.parametrize("grain", [0, 4, 100, 1 << 20])
def test_impossible_grain_is_refused(grain):
    with pytest.raises(CorruptDisk, match="grain size"):
        _parse(grain_size=grain)


def test_stream_may_have_grains_of_one_sector():
    assert _parse(flags=3 | COMPRESSED, compression=1, grain_size=1).grain_size == 1


@pytest.mark.parametrize("length", [0, 64, 500, 8192])
def test_impossible_table_is_refused(length):
    with pytest.raises(CorruptDisk, match="grain table"):
        _parse(gtes_per_gt=length)


def test_message_names_file_and_place():
    with pytest.raises(CorruptDisk) as caught:
        _parse(grain_size=100)
    assert caught.value.facts() | {"hint": ""} == {
        "kind": "CorruptDisk",
        "path": "disk.vmdk",
        "offset": 20,
        "found": 100,
        "expected": "a power of two from 8 to 16384 sectors",
        "hint": "",
    }
