# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading streams: every layout, any kind of grain, and no wrong byte out of a damaged one."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskError,
    OutOfRange,
    ReadOnlyDisk,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.stream import (
    StreamExtent,
)

REPOSITORY = Path(__file__).resolve().parents[5]
CORPUS = Path(os.environ.get("VDISK_CORPUS", REPOSITORY.parent / "shared" / "corpus"))

GRAIN = 8  # sectors: small disks, the same code
BYTES = GRAIN * 512
GTES = 128
AT_END = 2**64 - 1
HEADER = "<4sIIQQQQIQQQB4sH"


def pack_header(capacity, gd, *, flags=0x30001, grain=GRAIN, gtes=GTES, version=3):
    fields = (b"KDMV", version, flags, capacity, grain, 1, 1, gtes, 0, gd, 8, 0, b"\n \r\n", 1)
    return struct.pack(HEADER, *fields).ljust(512, b"\0")


def sectors(data):
    return data.ljust(-(-len(data) // 512) * 512, b"\0")


def marker(kind, count):
    return sectors(struct.pack("<QII", count, 0, kind))


class Image:
    """A stream put together by hand, so that each of its parts can be wrong."""

    def __init__(self, capacity, grains, *, flags=0x30001, gtes=GTES, compress=zlib.compress):
        self.capacity, self.flags, self.gtes = capacity, flags, gtes
        self.body = bytearray(8 * 512)
        self.places = {}
        tables = -(-capacity // (GRAIN * gtes))
        self.entries = [0] * (tables * gtes)
        for number, content in sorted(grains.items()):
            stream = compress(content)
            prefix = struct.pack("<QI", number * GRAIN, len(stream))
            self.places[number] = len(self.body)
            self.entries[number] = len(self.body) // 512
            self.body += sectors((prefix if flags & 0x20000 else prefix[8:]) + stream)
        self.tables = [self._put_table(index) for index in range(tables)]
        self.gd = self._put(2, struct.pack(f"<{tables}I", *self.tables))

    def _put_table(self, index):
        entries = self.entries[index * self.gtes : (index + 1) * self.gtes]
        return self._put(1, struct.pack(f"<{self.gtes}I", *entries)) if any(entries) else 0

    def _put(self, kind, content):
        content = sectors(content)
        self.body += marker(kind, len(content) // 512) + content
        return (len(self.body) - len(content)) // 512

    def patch(self, offset, layout, *values):
        struct.pack_into(layout, self.body, offset, *values)

    def patch_entry(self, grain, value):
        index, place = divmod(grain, self.gtes)
        self.patch(self.tables[index] * 512 + place * 4, "<I", value)

    def header(self, gd):
        return pack_header(self.capacity, gd, flags=self.flags, gtes=self.gtes)

    def with_footer(self, gd_in_header=AT_END):
        end = marker(3, 1) + self.header(self.gd) + marker(0, 0)
        return self.header(gd_in_header) + bytes(self.body[512:]) + end

    def with_directory_in_header(self):
        return self.header(self.gd) + bytes(self.body[512:]) + marker(0, 0)


class CountingFile(File):
    """Counts reads of the file."""

    reads = 0

    def readinto(self, offset, buffer):
        self.reads += 1
        super().readinto(offset, buffer)


def open_stream(path, kind=File, **options):
    file = kind(path)
    return StreamExtent(file, SparseHeader.parse(file.read(0, 512), path), **options)


@pytest.fixture
def opened(tmp_path):
    """A function: bytes of a file -> the StreamExtent in it."""
    path = str(tmp_path / "disk.vmdk")
    devices = []

    def open_bytes(data, **options):
        Path(path).write_bytes(data)
        devices.append(open_stream(path, **options))
        return devices[-1]

    yield open_bytes
    for device in devices:
        device.close()


def content_of(grains, capacity):
    content = bytearray(capacity * 512)
    for number, data in grains.items():
        content[number * BYTES : number * BYTES + len(data)] = data
    return content


def noise(seed, size=BYTES):
    return random.Random(seed).randbytes(size)


# Two tables, the second begins with grain 128; the last grain has 2 of its 8 sectors.
CAPACITY = 200 * GRAIN + 2
GRAINS = {
    0: noise(0),
    1: b"text " * 819 + b"!",
    5: noise(5),
    127: noise(127),
    128: noise(128),
    200: noise(200),
}
GRAINS_CUT = {**GRAINS, 200: GRAINS[200][:1024]}
CONTENT = content_of(GRAINS_CUT, CAPACITY)


@pytest.fixture
def image():
    return Image(CAPACITY, GRAINS)


def whole(device):
    return read(device, 0, device.size)


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


# Damage


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
