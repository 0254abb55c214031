# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of the largest sizes open at once, with little memory and few open files."""

from __future__ import annotations

import os
import threading
import time
from array import array

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskNotFound,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import (
    directory_sectors,
    sparse_header,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.lazy import MANY

SECTOR = 512
TIB = 1 << 31  # sectors


def text(create_type, lines, parent="ffffffff", more=""):
    head = f"# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID={parent}\n{more}"
    return f'{head}createType="{create_type}"\n' + "\n".join(lines) + "\n"


def lay_tables(path, sectors, descriptor=""):
    """A sparse extent with all its tables in place, each of them a hole of the file."""
    header = sparse_header(sectors, 20 if descriptor else 0)
    with open(path, "wb") as stream:
        stream.write(header.pack() + descriptor.encode())
        stream.truncate(header.overhead * SECTOR)
        for place in (header.rgd_offset, header.gd_offset):
            first = place + directory_sectors(header)
            stream.seek(place * SECTOR)
            stream.write(array("I", range(first, first + 4 * header.directory_entries, 4)))
    return header


def set_entry(path, header, grain, sector):
    for place in (header.rgd_offset, header.gd_offset):
        with open(path, "r+b") as stream:
            stream.seek((place + directory_sectors(header)) * SECTOR + 4 * grain)
            stream.write(array("I", [sector]))


def store_tables(path, header):
    """Tables of zeros that take their place, as VMware preallocates them."""
    with open(path, "r+b") as stream:
        for place in (header.rgd_offset, header.gd_offset):
            stream.seek((place + directory_sectors(header)) * SECTOR)
            stream.write(bytes(4 * SECTOR * header.directory_entries))


def monolithic(folder, sectors):
    path = folder / "m.vmdk"
    descriptor = text("monolithicSparse", [f'RW {sectors} SPARSE "m.vmdk"'])
    return path, lay_tables(path, sectors, descriptor)


def split(folder, count, sectors=128):
    names = [f"s-s{index:03d}.vmdk" for index in range(1, count + 1)]
    lay_tables(folder / "one", sectors)
    for index, name in enumerate(names):
        data = bytearray((folder / "one").read_bytes())
        if index % 100 == 7:  # one grain each, at the end of the file
            end = len(data) // SECTOR
            header = sparse_header(sectors, 0)
            for place in (header.rgd_offset, header.gd_offset):
                start = (place + 1) * SECTOR
                data[start : start + 4] = end.to_bytes(4, "little")
            data += index.to_bytes(4, "little") * 16384
        (folder / name).write_bytes(data)
    lines = [f'RW {sectors} SPARSE "{name}"' for name in names]
    (folder / "s.vmdk").write_text(text("twoGbMaxExtentSparse", lines))
    return folder / "s.vmdk"


def resident():
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def cost():
    """Seconds of the processor and bytes of memory since it was called last."""
    state = {"cpu": time.process_time(), "memory": resident()}

    def since():
        cpu, memory = time.process_time(), resident()
        spent = cpu - state["cpu"], memory - state["memory"]
        state.update(cpu=cpu, memory=memory)
        return spent

    return since


def test_62_tib_in_one_file(tmp_path, cost):
    path, header = monolithic(tmp_path, 62 * TIB)
    set_entry(path, header, header.grains - 1, header.overhead)
    with open(path, "r+b") as stream:
        stream.seek(header.overhead * SECTOR)
        stream.write(b"last" * 16384)
    cost()
    with open_disk(path) as disk:
        cpu, memory = cost()
        assert disk.size == 62 << 40
        assert read(disk, disk.size - 65536, 65536) == b"last" * 16384
        runs = [(run.offset, run.kind.value) for run in disk.extents()]
        listing, more = cost()
    assert runs == [(0, "zero"), ((62 << 40) - 65536, "data")]
    assert cpu < 2  # both together are less than 1 on an idle machine
    assert listing < 10
    assert memory + more < 48 << 20  # the two directories have 8 MB each


def test_tables_that_are_stored_and_empty(tmp_path, cost):
    """As VMware makes a disk. 128 GiB here, since the file really takes its space."""
    path, header = monolithic(tmp_path, TIB // 16)
    with open(path, "r+b") as stream:
        for place in (header.rgd_offset, header.gd_offset):
            stream.seek((place + directory_sectors(header)) * SECTOR)
            stream.write(bytes(2048 * header.directory_entries))
    cost()
    with open_disk(path) as disk:
        runs = [(run.offset, run.length, run.kind.value) for run in disk.extents()]
        cpu, memory = cost()
    assert runs == [(0, TIB // 16 * SECTOR, "zero")]
    assert cpu < 2
    assert memory < 16 << 20


@pytest.mark.parametrize("grain", [0, 511, 512 * 16, 512 * 1024 - 1, 512 * 1024, 512 * 1040])
def test_grains_between_long_holes_are_found(tmp_path, grain):
    path, header = monolithic(tmp_path, 65536 * 1100)
    with open(path, "r+b") as stream:
        stream.seek(header.overhead * SECTOR)
        stream.write(b"here" * 16384)
    set_entry(path, header, grain, header.overhead)
    with open_disk(path) as disk:
        data = [run.offset for run in disk.extents() if run.kind.value == "data"]
        assert data == [grain * 65536]
        assert read(disk, grain * 65536, 4) == b"here"


def test_changes_not_yet_written_back_are_no_hole(tmp_path):
    path, _header = monolithic(tmp_path, 65536 * 1100)
    with open_disk(path, writable=True) as disk:
        disk.write(700 << 25, b"new")
        data = [run.offset for run in disk.extents() if run.kind.value == "data"]
    assert data == [700 << 25]


def test_table_that_neither_copy_has_is_an_error_among_holes(tmp_path):
    """Not zeros: something was there."""
    path, header = monolithic(tmp_path, 65536 * 1100)
    for place in (header.rgd_offset, header.gd_offset):
        with open(path, "r+b") as stream:
            stream.seek(place * SECTOR + 4 * 900)
            stream.write(array("I", [0x7FFFFFFF]))
    with open_disk(path) as disk:
        read(disk, 0, 4096)
        with pytest.raises(TruncatedDisk, match="grain table 900"):
            list(disk.extents())
        with pytest.raises(TruncatedDisk, match="grain table 900"):
            read(disk, 900 << 25, 4096)


# Disks of many files


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_many_extents_read_right_with_few_files_open(tmp_path):
    path = split(tmp_path, MANY + 150)
    expected = bytearray((MANY + 150) * 65536)
    for index in range(7, MANY + 150, 100):
        expected[index * 65536 : (index + 1) * 65536] = index.to_bytes(4, "little") * 16384
    before = open_files()
    with open_disk(path) as disk:
        assert open_files() - before < 5
        assert read(disk, 0, disk.size) == expected
        runs = [run.offset // 65536 for run in disk.extents() if run.kind.value == "data"]
        assert runs == list(range(7, MANY + 150, 100))
        assert open_files() - before < 80
    assert open_files() <= before  # fewer: what earlier tests left is collected at any time


def test_many_extents_and_many_threads(tmp_path):
    path = split(tmp_path, MANY + 50)
    wrong = []
    with open_disk(path) as disk:

        def look(first):
            for step in range(300):
                index = (first + step * 37) % (MANY + 50)
                content = index.to_bytes(4, "little") if index % 100 == 7 else bytes(4)
                if read(disk, index * 65536 + 4096, 4) != content:
                    wrong.append(index)

        threads = [threading.Thread(target=look, args=(n * 11,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_missing_extent_of_many_is_found_at_once(tmp_path):
    path = split(tmp_path, MANY + 1)
    (tmp_path / "s-s200.vmdk").unlink()
    with pytest.raises(DiskNotFound) as caught:
        open_disk(path)
    assert caught.value.path == str(tmp_path / "s-s200.vmdk")


def test_damaged_extent_of_many_is_an_error_where_it_lies(tmp_path):
    path = split(tmp_path, MANY + 1)
    data = bytearray((tmp_path / "s-s200.vmdk").read_bytes())
    data[12] = 64  # half the capacity
    (tmp_path / "s-s200.vmdk").write_bytes(data)
    with open_disk(path) as disk:
        read(disk, 0, 65536)
        with pytest.raises(CorruptDisk, match="disagree about the size"):
            read(disk, 199 * 65536, 512)


def test_flags_of_many_extents_stay_when_they_are_closed(tmp_path):
    path = split(tmp_path, MANY + 1)
    data = bytearray((tmp_path / "s-s001.vmdk").read_bytes())
    data[72] = 1
    (tmp_path / "s-s001.vmdk").write_bytes(data)
    with open_disk(path) as disk:
        read(disk, 0, disk.size)
        assert len(disk.flags) == 1
        assert "s-s001.vmdk: was not closed" in disk.flags[0]


def test_nobody_asks_where_stored_tables_end(tmp_path, monkeypatch):
    """tmpfs would look at each of their pages, for each page of tables: minutes for 2 TiB."""
    path, header = monolithic(tmp_path, TIB // 64)
    store_tables(path, header)
    asked = []
    seek = File._seek

    def noting(file, offset, whence, end):
        asked.append(whence)
        return seek(file, offset, whence, end)

    monkeypatch.setattr(File, "_seek", noting)
    with open_disk(path) as disk:
        runs = list(disk.extents())
    assert [(run.kind, run.length) for run in runs] == [(Kind.ZERO, disk.size)]
    assert os.SEEK_DATA in asked
    assert os.SEEK_HOLE not in asked
