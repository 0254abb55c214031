# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams read by their markers alone: from a pipe, without tables, behind damage."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import struct
import subprocess
import tracemalloc
import zlib
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    NotADisk,
    TruncatedDisk,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.scan import scan_markers
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.sequential import (
    sequential_stream,
)

SECTOR, GRAIN = 512, 128 * 512
AT_END = 2**64 - 1
CAPACITY = 3 * 65536 + 100  # three tables and a grain that is short
TEXT = (
    "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
    f'createType="streamOptimized"\nRW {CAPACITY} SPARSE "s.vmdk"\n'
)


def grains_of(pipe):
    return [(offset // SECTOR, data) for offset, data in sequential_stream(pipe)]


def noise(seed, size=GRAIN):
    return random.Random(seed).randbytes(size)


GRAINS = {0: noise(0), 1: b"text" * 16384, 511: noise(2), 1000: noise(3), 1536: noise(4, 51200)}


def expected(grains=None):
    grains = GRAINS if grains is None else grains
    content = bytearray(CAPACITY * SECTOR)
    for number, data in grains.items():
        content[number * GRAIN : number * GRAIN + len(data)] = data
    return content


def padded(data):
    return data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\0")


def header(gd, flags=0x30001, capacity=CAPACITY):
    fields = (b"KDMV", 3, flags, capacity, 128, 1, 20, 512, 0, gd, 128, 0, b"\n \r\n", 1)
    return struct.pack("<4sIIQQQQIQQQB4sH", *fields).ljust(SECTOR, b"\0")


def marker(kind, sectors):
    return padded(struct.pack("<QII", sectors, 0, kind))


class Stream:
    """A stream by the book (TN p.12): grains, each table behind its grains, directory, footer."""

    def __init__(self, grains=None, tables=True, progress=False):
        grains = GRAINS if grains is None else grains
        self.body = bytearray(padded(TEXT.encode()).ljust(127 * SECTOR, b"\0"))
        self.places, directory = {}, [0] * 4
        for index in range(4):
            entries = [0] * 512
            for number in (n for n in grains if n // 512 == index):
                entries[number % 512] = self.places[number] = self.here
                data = zlib.compress(grains[number])
                self.body += padded(struct.pack("<QI", number * 128, len(data)) + data)
                self.body += marker(4, 1) + bytes(SECTOR) if progress else b""
            if tables and any(entries):
                self.body += marker(1, 4)
                directory[index] = self.here
                self.body += struct.pack("<512I", *entries)
        if tables:
            self.body += marker(2, 1)
            self.gd = self.here
            self.body += padded(struct.pack("<4I", *directory))

    @property
    def here(self):
        return 1 + len(self.body) // SECTOR

    def whole(self):
        return header(AT_END) + self.body + marker(3, 1) + header(self.gd) + marker(0, 0)

    def markers_only(self, gd=AT_END):
        return header(gd) + self.body + marker(0, 0)


class Pipe:
    """Gives what it likes, once, front to back."""

    def __init__(self, data, most=7000):
        self.data, self.at, self.most = bytes(data), 0, most

    def read(self, size):
        assert size > 0
        part = self.data[self.at : self.at + min(size, self.most)]
        self.at += len(part)
        return part


def assembled(source):
    content = bytearray(source.size)
    for offset, data in source:
        content[offset : offset + len(data)] = data
    return content


def scanned(tmp_path, data, **options):
    path = tmp_path / "scan.vmdk"
    path.write_bytes(data)
    with File(path) as file:
        return scan_markers(file, **options)


# From a pipe


@pytest.mark.parametrize("most", [1, 511, 7000, 1 << 30])
def test_whole_stream_from_a_pipe(most):
    data = Stream({0: noise(0), 1536: noise(1, 51200)}).whole() if most == 1 else Stream().whole()
    grains = {0: noise(0), 1536: noise(1, 51200)} if most == 1 else GRAINS
    source = sequential_stream(Pipe(data, most))
    assert source.size == CAPACITY * SECTOR
    assert assembled(source) == expected(grains)


def test_stream_without_any_table_from_a_pipe():
    assert assembled(sequential_stream(Pipe(Stream(tables=False).markers_only()))) == expected()


def test_grains_come_with_their_lba():
    grains = grains_of(Pipe(Stream().whole()))
    assert [lba for lba, _data in grains] == [number * 128 for number in GRAINS]
    assert [data for _lba, data in grains] == list(GRAINS.values())


def test_grains_in_any_order():
    grains = dict(sorted(GRAINS.items(), reverse=True))
    assert assembled(sequential_stream(Pipe(Stream(grains).whole()))) == expected()


def test_unknown_kinds_of_metadata_are_skipped():
    assert assembled(sequential_stream(Pipe(Stream(progress=True).whole()))) == expected()


def test_fault_17_stream_inside_a_gzip_that_cannot_seek():
    packed = gzip.compress(Stream().whole())
    with gzip.GzipFile(fileobj=Pipe(packed)) as stream:
        assert assembled(sequential_stream(stream)) == expected()


def test_real_pipe(tmp_path):
    (tmp_path / "s.vmdk").write_bytes(Stream().whole())
    with subprocess.Popen(["cat", tmp_path / "s.vmdk"], stdout=subprocess.PIPE) as cat:
        assert assembled(sequential_stream(cat.stdout)) == expected()


def test_stream_of_qemu_which_has_no_end_marker(tmp_path, qemu_img):
    content = noise(1, 1 << 20) + bytes(40 << 20) + noise(2, 100_352)
    (tmp_path / "raw").write_bytes(content)
    stream = tmp_path / "s.vmdk"
    qemu_img("convert", "-O", "vmdk", "-o", "subformat=streamOptimized", tmp_path / "raw", stream)
    data = stream.read_bytes()
    assert assembled(sequential_stream(Pipe(data, 1 << 20))) == content
    with pytest.raises(TruncatedDisk):
        assembled(sequential_stream(Pipe(data[: data.rindex(b"\x78\x01", 0, -4096) - 12])))


def test_stream_of_ours(make_disk):
    path = make_disk(
        "s.vmdk", "streamOptimized", 100 << 20, {5 << 20: noise(1), 70 << 20: noise(2)}
    )
    content = assembled(sequential_stream(Pipe(path.read_bytes(), 1 << 20)))
    with open_disk(path) as disk:
        assert content == read(disk, 0, disk.size)


@pytest.mark.parametrize(
    "name", ["vmdk-rs/streamOptimized.vmdk", "cot/blank.vmdk", "cot/input.vmdk"]
)
def test_streams_of_the_corpus(corpus, name):
    folder, manifest = corpus
    digest, position = hashlib.sha256(), 0
    with (folder / name).open("rb") as stream:
        source = sequential_stream(stream)
        for offset, data in sorted(source):
            digest.update(bytes(offset - position) + data)
            position = offset + len(data)
    digest.update(bytes(source.size - position))
    assert digest.hexdigest() == manifest[name]["raw_sha256"]


def test_no_prefix_of_a_pipe_passes_for_the_whole():
    data = Stream({0: noise(0), 600: b"t" * GRAIN}).whole()
    needed = len(data) - SECTOR  # all but the end marker itself
    for length in range(0, needed, SECTOR):
        with pytest.raises((TruncatedDisk, NotADisk)):
            grains_of(Pipe(data[:length], 1 << 20))


def test_stream_cut_and_filled_up_with_zeros_is_noticed():
    """As programs leave it which reserve the space of a download first."""
    stream = Stream()
    for number in (1000, 1536):
        data = stream.whole()[: stream.places[number] * SECTOR] + bytes(SECTOR * 300)
        with pytest.raises(TruncatedDisk):
            grains_of(Pipe(data))


@pytest.mark.parametrize("flags", [0x1, 0x10001], ids=["sparse", "without markers"])
def test_what_has_no_markers_is_refused(flags):
    with pytest.raises(UnsupportedDisk):
        sequential_stream(Pipe(header(21, flags=flags)))


@pytest.mark.parametrize("at", [16, 300, 4000])
def test_damaged_grain_is_an_error_at_its_place(at):
    stream = Stream()
    data = bytearray(stream.whole())
    place = stream.places[511] * SECTOR
    data[place + at] ^= 0x55
    with pytest.raises(CorruptDisk) as caught:
        assembled(sequential_stream(Pipe(data)))
    assert caught.value.offset == place


def test_hostile_capacity_takes_no_memory():
    grains = {number: GRAINS[number] for number in (0, 1, 1000)}
    data = header(21, capacity=2**54) + Stream(grains, tables=False).markers_only()[SECTOR:]
    tracemalloc.start()
    found = grains_of(Pipe(data, 1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == len(grains)
    assert peak < 8 << 20


def test_grain_that_explodes_takes_no_memory():
    bomb = Stream({0: bytes(1 << 20)}, tables=False).markers_only()
    with pytest.raises(CorruptDisk):
        assembled(sequential_stream(Pipe(bomb)))


# Without a directory, from a file


@pytest.mark.parametrize("gd", [AT_END, 0, 1 << 40], ids=["footer lost", "zero", "outside"])
@pytest.mark.parametrize("tables", [True, False])
def test_lost_directory_is_rebuilt(tmp_path, content_of, gd, tables):
    path = tmp_path / "s.vmdk"
    path.write_bytes(Stream(tables=tables).markers_only(gd))
    assert content_of(path) == expected()
    with open_disk(path) as disk:
        assert any("rebuilt from the grains' markers" in flag for flag in disk.flags)


def test_directory_of_zeros_is_rebuilt(tmp_path, content_of):
    stream = Stream()
    data = bytearray(stream.whole())
    data[stream.gd * SECTOR : stream.gd * SECTOR + 16] = bytes(16)
    (tmp_path / "s.vmdk").write_bytes(data)
    assert content_of(tmp_path / "s.vmdk") == expected()


def test_rebuilt_directory_knows_the_holes(tmp_path):
    (tmp_path / "s.vmdk").write_bytes(Stream(tables=False).markers_only())
    with open_disk(tmp_path / "s.vmdk") as disk:
        runs = [(run.offset // GRAIN, run.kind.value) for run in disk.extents()]
    assert runs[:5] == [(0, "data"), (2, "zero"), (511, "data"), (512, "zero"), (1000, "data")]


def test_later_grain_of_one_place_counts(tmp_path, content_of):
    first, second = Stream({0: noise(0)}, tables=False), Stream({0: noise(9)}, tables=False)
    second.body = first.body + second.body[127 * SECTOR :]
    data = second.markers_only()
    (tmp_path / "s.vmdk").write_bytes(data)
    assert content_of(tmp_path / "s.vmdk") == expected({0: noise(9)})
    assert assembled(sequential_stream(Pipe(data))) == expected({0: noise(9)})


def test_empty_disk_is_no_lost_directory(tmp_path):
    (tmp_path / "s.vmdk").write_bytes(Stream({}).whole())
    with open_disk(tmp_path / "s.vmdk") as disk:
        assert disk.flags == []
        assert [run.kind.value for run in disk.extents()] == ["zero"]


@pytest.mark.parametrize("tables", [True, False])
def test_truncated_stream_names_the_way_out(tmp_path, tables):
    data = Stream(tables=tables).markers_only()
    (tmp_path / "s.vmdk").write_bytes(data[: len(data) - 20 * SECTOR])
    with pytest.raises(TruncatedDisk) as caught:
        open_disk(tmp_path / "s.vmdk")
    assert "vmdk_check with salvage_to" in caught.value.hint


def test_empty_directory_over_truncated_grains_is_no_disk_of_zeros(tmp_path):
    stream = Stream()
    data = bytearray(stream.whole())
    data[stream.gd * SECTOR : stream.gd * SECTOR + 16] = bytes(16)
    data[stream.places[1000] * SECTOR : stream.places[1000] * SECTOR + 12] = b"\xff" * 12
    (tmp_path / "s.vmdk").write_bytes(data)
    with pytest.raises(TruncatedDisk, match="directory is empty"):
        open_disk(tmp_path / "s.vmdk")


# scan_markers


def test_scan_of_a_whole_stream(tmp_path):
    stream = Stream()
    result = scanned(tmp_path, stream.whole(), verify=True)
    assert [tuple(grain) for grain in result.grains] == [
        (number * 128, stream.places[number]) for number in GRAINS
    ]
    assert (result.tables, result.complete, result.first_damage) == (3, True, None)


def test_scan_of_every_prefix_finds_what_is_there(tmp_path):
    stream = Stream({0: noise(0), 600: b"t" * GRAIN, 1000: noise(2)})
    data = stream.whole()
    sizes = {
        number: len(zlib.compress(d)) + 12
        for number, d in {0: noise(0), 600: b"t" * GRAIN, 1000: noise(2)}.items()
    }
    for length in range(128 * SECTOR, len(data) - SECTOR, 5 * SECTOR):
        result = scanned(tmp_path, data[:length])
        there = [n for n, size in sizes.items() if stream.places[n] * SECTOR + size <= length]
        assert [grain.lba // 128 for grain in result.grains] == there
        assert not result.complete
        assert result.first_damage is not None


@pytest.mark.parametrize("length", [1, 12, 512, 5000], ids=lambda n: f"{n} bytes")
def test_scan_goes_on_behind_damage(tmp_path, length):
    stream = Stream()
    data = bytearray(stream.whole())
    place = stream.places[511] * SECTOR
    data[place : place + length] = b"\xee" * length
    result = scanned(tmp_path, data, verify=True)
    assert [grain.lba // 128 for grain in result.grains] == [0, 1, 1000, 1536]
    assert not result.complete
    assert result.first_damage == place


def test_scan_without_verify_trusts_the_markers(tmp_path):
    stream = Stream()
    data = bytearray(stream.whole())
    data[stream.places[511] * SECTOR + 400] ^= 0xFF
    assert len(scanned(tmp_path, data).grains) == 5
    assert len(scanned(tmp_path, data, verify=True).grains) == 4


def test_scan_of_the_truncated_stream_of_the_corpus(corpus):
    path = corpus[0] / "govmomi/ttylinux-pc_i486-16.1-disk1.vmdk"
    with File(path) as file:
        result = scan_markers(file, verify=True)
    assert (len(result.grains), result.complete) == (35, False)
    assert 0 < file_tail(path, result) < GRAIN + 2 * SECTOR


def file_tail(path, result):
    return os.path.getsize(path) - result.first_damage


def test_scan_of_noise_ends(tmp_path):
    result = scanned(tmp_path, header(AT_END) + noise(5, 3 << 20))
    assert len(result.grains) == 0
    assert not result.complete


def test_scan_of_what_has_no_markers_is_refused(tmp_path):
    with pytest.raises(UnsupportedDisk):
        scanned(tmp_path, header(21, flags=0x10001) + bytes(70000))
    assert Path(tmp_path / "scan.vmdk").exists()
