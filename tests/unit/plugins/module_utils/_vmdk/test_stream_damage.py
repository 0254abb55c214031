# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that are damaged: no wrong byte, no memory, and an error that says where."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskError,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.made_streams import (
    BYTES,
    CAPACITY,
    CONTENT,
    GRAIN,
    GRAINS,
    Image,
    noise,
    open_stream,
    pack_header,
    whole,
)


def fails(opened, data, error, offset, found=None):
    with pytest.raises(error) as caught:
        whole(opened(data))
    assert caught.type is error
    assert caught.value.path.endswith("disk.vmdk")
    assert caught.value.offset == offset
    if found is not None:
        assert str(found) in caught.value.found


def test_missing_footer(opened, image):
    data = image.with_footer()[: -3 * 512]
    fails(opened, data, TruncatedDisk, len(data))


def test_missing_end_of_stream_loses_nothing(opened, image):
    assert whole(opened(image.with_footer()[:-512])) == CONTENT


def test_header_without_directory(opened, image):
    data = image.header(0) + bytes(image.body[512:])
    fails(opened, data, CorruptDisk, 56)


def test_directory_behind_the_end_of_the_file(opened, image):
    data = image.header(100_000) + bytes(image.body[512:])
    fails(opened, data, TruncatedDisk, 100_000 * 512)


def test_hostile_capacity_takes_no_memory(opened, image):
    data = pack_header(2**54, image.gd) + bytes(image.body[512:])
    tracemalloc.start()
    with pytest.raises(TruncatedDisk):
        opened(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_table_behind_the_end_of_the_file(opened, image):
    image.patch(image.gd * 512 + 4, "<I", 70_000)
    data = image.with_directory_in_header()[:-512]  # with an end marker it would be rebuilt
    fails(opened, data, TruncatedDisk, image.gd * 512 + 4, 70_000)


def test_grain_behind_the_end_of_the_file(opened, image):
    image.patch_entry(5, 80_000)
    fails(opened, image.with_footer(), TruncatedDisk, image.tables[0] * 512 + 20, 80_000)


def test_grain_of_another_place(opened, image):
    image.patch(image.places[5], "<Q", 9 * GRAIN)
    fails(opened, image.with_footer(), CorruptDisk, image.places[5], 9 * GRAIN)


def test_metadata_where_a_grain_should_be(opened, image):
    image.patch_entry(5, image.gd - 1)
    fails(opened, image.with_footer(), CorruptDisk, (image.gd - 1) * 512, "metadata")


def test_entry_into_the_header_is_no_zeroed_grain_without_the_flag(opened, image):
    image.patch_entry(5, 1)
    fails(opened, image.with_footer(), CorruptDisk, 512)


def test_grain_longer_than_the_file(opened, image):
    image.patch(image.places[5] + 8, "<I", 0xFFFFFFF0)
    fails(opened, image.with_footer(), TruncatedDisk, image.places[5])


@pytest.mark.parametrize("at", [0, 1, 7, 500, -1])
def test_damaged_stream(opened, image, at):
    length = struct.unpack_from("<I", image.body, image.places[1] + 8)[0]
    image.body[image.places[1] + 12 + at % length] ^= 0xFF
    fails(opened, image.with_footer(), CorruptDisk, image.places[1])


def test_stream_cut_by_its_own_length(opened, image):
    image.patch(image.places[1] + 8, "<I", 20)
    fails(opened, image.with_footer(), CorruptDisk, image.places[1])


def test_short_grain(opened):
    image = Image(CAPACITY, {**GRAINS, 1: noise(1, BYTES - 1)})
    fails(opened, image.with_footer(), CorruptDisk, image.places[1], BYTES - 1)


def test_last_grain_shorter_than_the_disk(opened):
    image = Image(CAPACITY, {**GRAINS, 200: noise(200, 1023)})
    fails(opened, image.with_footer(), CorruptDisk, image.places[200], 1023)


def test_grain_that_explodes_takes_no_memory(opened):
    image = Image(CAPACITY, {0: bytes(64 << 20)})
    device = opened(image.with_footer())
    tracemalloc.start()
    with pytest.raises(CorruptDisk):
        read(device, 0, BYTES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_damage_does_not_spread_to_other_grains(opened, image):
    image.patch(image.places[5] + 12, "<I", 0xFFFFFFFF)
    device = opened(image.with_footer())
    with pytest.raises(CorruptDisk):
        read(device, 5 * BYTES, BYTES)
    assert read(device, 127 * BYTES, 2 * BYTES) == GRAINS[127] + GRAINS[128]


@pytest.mark.parametrize("layout", ["with_footer", "with_directory_in_header"])
def test_no_prefix_of_a_file_reads_wrong(opened, image, layout):
    data = getattr(image, layout)()
    for length in range(512, len(data) - 512, 512):
        try:
            assert whole(opened(data[:length])) == CONTENT
        except CorruptDisk:
            continue


@settings(max_examples=150)
@given(data=st.data())
def test_no_flipped_byte_in_a_grain_reads_wrong(tmp_path_factory, data):
    image = Image(CAPACITY, GRAINS)
    number = data.draw(st.sampled_from(sorted(GRAINS)))
    length = struct.unpack_from("<I", image.body, image.places[number] + 8)[0]
    at = image.places[number] + data.draw(st.integers(0, 12 + length - 1))
    image.body[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.vmdk"
    path.write_bytes(image.with_footer())
    with open_stream(str(path)) as device:
        try:
            assert whole(device) == CONTENT
        except DiskError:
            pass
