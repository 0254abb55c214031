# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that we write: their layout sector by sector, their content, and what is refused."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import (
    EncodingTarget,
    copy,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents import deflate
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.writer import (
    StreamWriter,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.new_streams import (
    DESCRIPTOR,
    GRAIN,
    content_of,
    noise,
)

TABLE = 512 * GRAIN
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")


def walk(data):
    """(kind, sector of the content, number or LBA) of all markers, as a sequential reader sees."""
    position = HEADER.unpack_from(data)[10] * 512
    while True:
        number, size, kind = struct.unpack_from("<QII", data, position)
        if size:
            yield "grain", position // 512, number
            position += -(-(12 + size) // 512) * 512
            continue
        yield ("end", "table", "directory", "footer")[kind], position // 512 + 1, number
        position += 512 * (1 + number)
        if kind == 0:
            assert position == len(data)
            return


# Layout


def test_header_is_what_esxi_imports(writer, path):
    writer(10 << 20).finish()
    fields = HEADER.unpack_from(path.read_bytes())
    at_end = 2**64 - 1
    newlines = b"\n \r\n"
    assert fields == (
        b"KDMV", 3, 0x30001, 20480, 128, 1, 20, 512, 0, at_end, 128, 0, newlines, 1
    )  # fmt: skip


def test_descriptor_is_padded_to_its_sectors(writer, path):
    writer(1 << 20).finish()
    assert path.read_bytes()[512 : 21 * 512] == DESCRIPTOR.ljust(20 * 512, b"\0")


def test_long_descriptor_moves_the_grains(writer, path):
    descriptor = noise(1, 70_000)
    with writer(1 << 20, descriptor) as stream:
        stream.write(0, noise(2))
        stream.finish()
    data = path.read_bytes()
    size, overhead = HEADER.unpack_from(data)[6], HEADER.unpack_from(data)[10]
    assert (size, overhead) == (137, 256)
    assert data[512 : 512 + size * 512] == descriptor.ljust(size * 512, b"\0")
    assert content_of(path)[:GRAIN] == noise(2)


def test_markers_in_the_order_a_pipe_needs(writer, path):
    stream = writer(4 * TABLE)
    stream.write(0, noise(0))
    stream.write(511 * GRAIN, noise(1) + noise(2))
    stream.write(3 * TABLE, noise(3))
    stream.finish()
    kinds = [(kind, number) for kind, _sector, number in walk(path.read_bytes())]
    lba = TABLE // 512
    assert kinds == [
        ("grain", 0),
        ("grain", 511 * 128),
        ("table", 4),
        ("grain", lba),
        ("table", 4),
        ("grain", 3 * lba),
        ("table", 4),
        ("directory", 1),
        ("footer", 1),
        ("end", 0),
    ]


def test_tables_and_directory_say_what_the_markers_say(writer, path):
    stream = writer(2 * TABLE + GRAIN)
    for grain in (3, 500, 1024):
        stream.write(grain * GRAIN, noise(grain))
    stream.finish()
    data = path.read_bytes()
    found = list(walk(data))
    tables = [sector for kind, sector, _number in found if kind == "table"]
    [directory] = [sector for kind, sector, _number in found if kind == "directory"]
    assert struct.unpack_from("<3I", data, directory * 512) == (tables[0], 0, tables[1])
    entries = struct.unpack_from("<512I", data, tables[0] * 512)
    grains = {number // 128: sector for kind, sector, number in found if kind == "grain"}
    assert {i: entry for i, entry in enumerate(entries) if entry} == {
        3: grains[3],
        500: grains[500],
    }
    assert struct.unpack_from("<I", data, tables[1] * 512) == (grains[1024],)


def test_footer_is_the_header_with_the_directory(writer, path):
    stream = writer(1 << 20)
    stream.write(0, noise(0))
    stream.finish()
    data = path.read_bytes()
    [directory] = [sector for kind, sector, _number in walk(data) if kind == "directory"]
    header, footer = HEADER.unpack_from(data), HEADER.unpack_from(data, len(data) - 1024)
    assert footer == (*header[:9], directory, *header[10:])


def test_streams_have_a_zlib_header_and_whole_grains(writer, path):
    stream = writer(GRAIN + 512)
    stream.write(0, noise(0))
    stream.write(GRAIN, b"t" * 512)
    stream.finish()
    data = path.read_bytes()
    grains = [sector for kind, sector, _number in walk(data) if kind == "grain"]
    lengths = []
    for sector in grains:
        (size,) = struct.unpack_from("<I", data, sector * 512 + 8)
        lengths.append(len(zlib.decompress(data[sector * 512 + 12 :][:size])))
    assert lengths == [GRAIN, GRAIN]


def test_no_disk_before_it_is_finished(writer, path):
    stream = writer(1 << 20)
    stream.write(0, noise(0))
    with pytest.raises(CorruptDisk, match="never finished"):
        content_of(path)


class RecordingFile(File):
    """Remembers the order of writes and flushes."""

    def write(self, offset, data):
        self.log = [*getattr(self, "log", []), (offset, len(data))]
        super().write(offset, data)

    def flush(self):
        self.log.append("flush")
        super().flush()


def test_the_magic_comes_when_all_else_is_durable(path):
    with StreamWriter(RecordingFile.create(path), 2048, DESCRIPTOR) as stream:
        stream.write(0, noise(0))
        stream.finish()
        assert stream.file.log[-3:] == ["flush", (0, 4), "flush"]
        assert (0, 4) not in stream.file.log[:-3]


def test_disk_of_zeros_has_no_grains_and_no_tables(writer, path):
    stream = writer(2 * TABLE)
    stream.write(0, bytes(TABLE))
    stream.finish()
    assert [kind for kind, _sector, _number in walk(path.read_bytes())] == [
        "directory",
        "footer",
        "end",
    ]


# Content


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_copy_and_read_back(tmp_path_factory, data):
    grain = data.draw(st.sampled_from([8, 16, 128])) * 512
    size = data.draw(st.integers(1, 700)) * 512 + data.draw(st.sampled_from([0, 0, grain * 530]))
    source = MemoryDevice(size)
    for _number in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, size - 1))
        part = noise(start, min(data.draw(st.integers(1, 3 * grain)), size - start))
        source.content[start : start + len(part)] = part
    path = tmp_path_factory.getbasetemp() / "copied.vmdk"
    path.unlink(missing_ok=True)
    with StreamWriter(
        File.create(path), size // 512, DESCRIPTOR, grain_sectors=grain // 512
    ) as stream:
        copy(source, stream, target_is_zero=True)
        stream.finish()
    assert content_of(path) == source.content


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_write_and_read_back(tmp_path_factory, data):
    size = data.draw(st.integers(1, 4000)) * 512
    expected = bytearray(size)
    path = tmp_path_factory.getbasetemp() / "written.vmdk"
    path.unlink(missing_ok=True)
    with StreamWriter(File.create(path), size // 512, DESCRIPTOR, grain_sectors=8) as stream:
        position = 0
        while position < size:
            start = position + data.draw(st.integers(0, 150)) * 4096
            part = noise(start, data.draw(st.integers(1, 30)) * 4096)[: max(0, size - start)]
            if part:
                stream.write(start, part)
                expected[start : start + len(part)] = part
            position = start + 30 * 4096
        stream.finish()
    assert content_of(path) == expected


def test_zero_grains_inside_a_write_are_dropped(writer, path):
    stream = writer(1 << 20)
    stream.write(0, noise(0) + bytes(GRAIN) + noise(2))
    stream.finish()
    lbas = [number for kind, _sector, number in walk(path.read_bytes()) if kind == "grain"]
    assert lbas == [0, 256]
    assert content_of(path)[: 3 * GRAIN] == noise(0) + bytes(GRAIN) + noise(2)


def test_one_byte_in_a_grain_is_kept(writer, path):
    content = bytearray(3 * GRAIN)
    content[GRAIN + 777] = content[3 * GRAIN - 1] = 1
    stream = writer(3 * GRAIN)
    stream.write(0, content)
    stream.finish()
    assert content_of(path) == content


def test_tail_that_is_no_whole_grain_is_kept(writer, path):
    content = noise(1, 200 * 512)
    stream = writer(len(content))
    stream.write(0, content)
    stream.finish()
    assert content_of(path) == content


def test_source_smaller_than_the_disk_and_no_whole_sectors(writer, path):
    source = MemoryDevice(noise(1, 100_001))
    stream = writer(1 << 20)
    copy(source, stream, target_is_zero=True)
    stream.finish()
    assert content_of(path) == source.content + bytes((1 << 20) - 100_001)


def test_transfer_counts_what_was_stored(writer):
    source = MemoryDevice(noise(1, 100_001) + bytes(2 * GRAIN))
    transfer = copy(source, writer(1 << 20), target_is_zero=True)
    assert transfer.bytes_written == 2 * GRAIN
    assert transfer.bytes_zero == len(source.content) - transfer.bytes_written


def test_copy_uses_the_encoder(writer):
    assert isinstance(writer(1 << 20), EncodingTarget)


@pytest.mark.parametrize("level", [None, *range(10)])
@pytest.mark.parametrize("with_isal", [True, False])
def test_every_level_makes_streams_that_zlib_reads(monkeypatch, level, with_isal):
    if not with_isal:
        monkeypatch.setattr(deflate, "_isal", lambda: None)
    content = noise(0, 1000) + b"text " * 10_000
    stream = deflate.compressor(level)(content)
    assert zlib.decompress(stream) == content
    assert (len(stream) > len(content)) is (level == 0)


@pytest.mark.parametrize("with_isal", [True, False])
def test_inflate_refuses_what_is_wrong(monkeypatch, with_isal):
    if not with_isal:
        monkeypatch.setattr(deflate, "_isal", lambda: None)
    stream = zlib.compress(noise(0, 1000))
    assert deflate.inflate(stream, 1000) == noise(0, 1000)
    for wrong in (b"", stream[:-1], stream[:-5] + bytes(5), stream[2:], b"\0" * 50):
        with pytest.raises(deflate.BadStream):
            deflate.inflate(wrong, 1000)
    with pytest.raises(deflate.BadStream, match="more than 999 bytes"):
        deflate.inflate(stream, 999)
