# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading streams: every layout, any kind of grain, and no wrong byte out of a damaged one."""

from __future__ import annotations

import hashlib
import random
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    OutOfRange,
    ReadOnlyDisk,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.made_streams import (
    BYTES,
    CAPACITY,
    CONTENT,
    CORPUS,
    GRAIN,
    GRAINS,
    GRAINS_CUT,
    CountingFile,
    Image,
    content_of,
    noise,
    open_stream,
    pack_header,
    whole,
)

# Layouts


def test_directory_found_through_the_footer(opened, image):
    assert whole(opened(image.with_footer())) == CONTENT


def test_directory_in_the_header(opened, image):
    assert whole(opened(image.with_directory_in_header())) == CONTENT


def test_footer_wins_over_a_directory_in_the_header(opened, image):
    assert whole(opened(image.with_footer(gd_in_header=1))) == CONTENT


@pytest.mark.parametrize("padding", [b"\0" * 10240, b"\0" * 77, b"rubbish " * 500])
def test_padding_behind_the_end_of_the_stream(opened, image, padding):
    assert whole(opened(image.with_footer() + padding)) == CONTENT


def test_magic_in_the_last_grain_is_no_footer(opened):
    grains = {0: pack_header(64, 5).ljust(BYTES, b"x")}
    image = Image(64, grains, compress=lambda data: zlib.compress(data, 0))
    assert whole(opened(image.with_directory_in_header())) == content_of(grains, 64)


def test_grains_without_markers_have_a_short_prefix(opened):
    image = Image(CAPACITY, GRAINS, flags=0x10001)
    assert whole(opened(image.with_directory_in_header())) == CONTENT


def test_last_grain_may_be_as_short_as_the_disk(opened):
    image = Image(CAPACITY, GRAINS_CUT)
    assert whole(opened(image.with_footer())) == CONTENT


def test_grain_whose_stream_is_far_longer_than_its_content(opened):
    def in_tiny_blocks(data):
        deflater = zlib.compressobj(0)
        parts = [
            deflater.compress(data[i : i + 8]) + deflater.flush(zlib.Z_FULL_FLUSH)
            for i in range(0, len(data), 8)
        ]
        return b"".join(parts) + deflater.flush()

    assert len(in_tiny_blocks(GRAINS[0])) > 2 * BYTES
    image = Image(CAPACITY, GRAINS, compress=in_tiny_blocks)
    assert whole(opened(image.with_footer())) == CONTENT


def test_grains_in_any_order_of_the_file(opened, image):
    first, second = image.places[0], image.places[5]
    swapped = {0: GRAINS[5], 5: GRAINS[0]}
    image = Image(CAPACITY, {**GRAINS, **swapped})
    image.patch(image.places[0], "<Q", 5 * GRAIN)
    image.patch(image.places[5], "<Q", 0)
    image.patch_entry(0, second // 512)
    image.patch_entry(5, first // 512)
    assert whole(opened(image.with_footer())) == CONTENT


def test_entries_beyond_the_capacity_mean_nothing(opened, image):
    image.patch(image.tables[1] * 512 + 73 * 4, "<I", 0xFFFFFFFF)
    assert whole(opened(image.with_footer())) == CONTENT


def test_disk_of_nothing(opened):
    device = opened(Image(0, {}).with_footer())
    assert (device.size, list(device.extents()), whole(device)) == (0, [], b"")


# Holes and parents


def test_holes_are_zero_extents(opened, image):
    kinds = [(e.offset // BYTES, e.kind) for e in opened(image.with_footer()).extents()]
    data, zero = Kind.DATA, Kind.ZERO
    assert kinds == [
        (0, data),
        (2, zero),
        (5, data),
        (6, zero),
        (127, data),
        (129, zero),
        (200, data),
    ]


def test_extents_cover_exactly_what_was_asked(opened, image):
    device = opened(image.with_footer())
    start, end = BYTES + 100, 5 * BYTES + 7
    assert list(device.extents(start, end - start)) == [
        Extent(start, BYTES - 100, Kind.DATA),
        Extent(2 * BYTES, 3 * BYTES, Kind.ZERO),
        Extent(5 * BYTES, 7, Kind.DATA),
    ]


def test_parent_shows_through_holes(opened, image):
    parent = MemoryDevice(b"p" * CAPACITY * 512)
    expected = content_of(dict.fromkeys(range(200), b"p" * BYTES), CAPACITY)
    expected[200 * BYTES :] = b"p" * 1024
    for number, data in GRAINS_CUT.items():
        expected[number * BYTES : number * BYTES + len(data)] = data
    assert whole(opened(image.with_footer(), parent=parent)) == expected


def test_zeroed_grain_hides_the_parent(opened):
    image = Image(CAPACITY, GRAINS, flags=0x30005)
    image.patch_entry(3, 1)
    device = opened(image.with_footer(), parent=MemoryDevice(b"p" * CAPACITY * 512))
    assert (read(device, 2 * BYTES, BYTES), read(device, 3 * BYTES, BYTES)) == (
        b"p" * BYTES,
        bytes(BYTES),
    )


def test_holes_of_a_link_opened_alone_are_inherited(opened, image):
    device = opened(image.with_footer(), inherits=True)
    assert list(device.extents(2 * BYTES, BYTES)) == [Extent(2 * BYTES, BYTES, Kind.INHERITED)]


# Reading


@settings(max_examples=60)
@given(data=st.data())
def test_any_range_reads_as_the_content_does(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "ranges.vmdk"
    if not path.exists():
        path.write_bytes(Image(CAPACITY, GRAINS_CUT).with_footer())
    with open_stream(str(path)) as device:
        for _number in range(10):
            start = data.draw(st.integers(0, device.size))
            length = data.draw(st.integers(0, min(device.size - start, 20 * BYTES)))
            assert read(device, start, length) == CONTENT[start : start + length]


def test_threads_read_at_once(opened, image):
    device = opened(image.with_footer())
    wrong = []

    def read_around(seed):
        chooser = random.Random(seed)
        for _number in range(200):
            start = chooser.randrange(device.size)
            length = min(chooser.randrange(1, 4 * BYTES), device.size - start)
            if read(device, start, length) != CONTENT[start : start + length]:
                wrong.append(start)

    threads = [threading.Thread(target=read_around, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_neighbours_in_the_file_are_read_at_once(opened):
    grains = {number: noise(number) for number in range(64)}
    device = opened(Image(64 * GRAIN, grains).with_footer(), kind=CountingFile)
    before = device.file.reads
    assert whole(device) == content_of(grains, 64 * GRAIN)
    assert device.file.reads - before == 2  # table and grains


def test_more_neighbours_than_one_read_of_the_file_takes(opened):
    grains = {number: noise(number) for number in range(600)}
    device = opened(Image(600 * GRAIN, grains).with_footer())
    assert whole(device) == content_of(grains, 600 * GRAIN)


def test_small_reads_of_one_grain_read_the_file_once(opened, image):
    device = opened(image.with_footer(), kind=CountingFile)
    read(device, 0, 512)
    before = device.file.reads
    assert b"".join(read(device, at, 512) for at in range(0, BYTES, 512)) == GRAINS[0]
    assert device.file.reads == before


def test_read_beyond_the_end_is_refused(opened, image):
    device = opened(image.with_footer())
    with pytest.raises(OutOfRange):
        read(device, device.size - 1, 2)


def test_write_is_refused(opened, image):
    with pytest.raises(ReadOnlyDisk):
        opened(image.with_footer()).write(0, bytes(BYTES))


# Disks that others made


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        (
            "vmdk-rs/streamOptimized.vmdk",
            "a3bcf05f07a1c06a3380eeca8571f0efb2b85afafa1e21662b8cad436d1f7727",
        ),
        ("cot/blank.vmdk", "9acca8e8c22201155389f65abbf6bc9723edc7384ead80503839f49dcc56d767"),
        ("cot/input.vmdk", "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14"),
    ],
)
def test_streams_of_the_corpus(name, digest):
    path = CORPUS / name
    if not path.exists():
        pytest.skip(f"no corpus of disks at {CORPUS}")
    with open_stream(str(path)) as device:
        sha256 = hashlib.sha256()
        for at in range(0, device.size, 2 << 20):
            sha256.update(read(device, at, min(2 << 20, device.size - at)))
        assert sha256.hexdigest() == digest


def test_stream_of_the_corpus_that_was_cut():
    path = CORPUS / "govmomi" / "ttylinux-pc_i486-16.1-disk1.vmdk"
    if not path.exists():
        pytest.skip(f"no corpus of disks at {CORPUS}")
    with pytest.raises(TruncatedDisk, match="at byte 1048576"):
        open_stream(str(path))
