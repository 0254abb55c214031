# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk of a restore point as a device, and the parts below it."""

from __future__ import annotations

import importlib
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    MissingLibrary,
    OutOfRange,
    ReadOnlyDisk,
    RepositoryDamaged,
    RestorePointNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.chunk import Codec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.pack import (
    pack_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read import ahead
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)


@pytest.fixture
def data(helpers):
    return helpers.content(10 * helpers.CHUNK) + bytes(3 * helpers.CHUNK) + b"end" * 1000


@pytest.fixture
def device(either, data):
    return either.open().open_disk(either.back_up(data).point)


def test_many_threads_read_the_right_bytes(device, data, monkeypatch):
    def check(seed):
        chance = random.Random(seed)
        for _number in range(30):
            offset = chance.randrange(len(data))
            length = chance.randrange(min(100_000, len(data) - offset) + 1)
            assert read(device, offset, length) == data[offset : offset + length]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check, range(8)))


def test_the_cache_stays_small(either, data, monkeypatch, helpers):
    monkeypatch.setattr(ahead, "CACHED_BYTES", 4 * helpers.CHUNK)
    device = either.open().open_disk(either.back_up(data).point)
    for offset in range(0, len(data), 100_000):
        read(device, offset, 1)
    assert len(device._chunks) == 4


def test_a_chunk_in_the_cache_is_not_read_again(device, tmp_path):
    import shutil

    first = read(device, 100, 10)
    shutil.rmtree(tmp_path / "repository" / "packs")
    assert read(device, 100, 10) == first


def test_it_is_read_only(device):
    with pytest.raises(ReadOnlyDisk):
        device.write(0, b"x")
    with pytest.raises(ReadOnlyDisk):
        device.zero(0, 1)


def test_reading_beyond_the_end_is_refused(device, data):
    with pytest.raises(OutOfRange):
        read(device, len(data) - 1, 2)


def test_copy_restores_it_to_any_device(device, data):
    target = MemoryDevice(len(data))
    copy(device, target, target_is_zero=True)
    assert target.content == data


def test_an_unknown_disk_is_told(either, data):
    point = either.back_up(data).point
    with pytest.raises(RestorePointNotFound, match="disk0"):
        either.open().open_disk(point, "scsi0:0")


def test_an_empty_disk_is_a_disk(either):
    assert either.back_up(b"").created
    assert either.restore("web01@latest") == b""


def test_it_works_with_a_cryptography_that_cannot_encrypt_into(encrypted, data, monkeypatch):
    real = pack._cipher

    class Old:
        def __init__(self, aes):
            self.encrypt, self.decrypt = aes.encrypt, aes.decrypt

    monkeypatch.setattr(pack, "_cipher", lambda *arguments: Old(real(*arguments)))
    encrypted.back_up(data)
    monkeypatch.undo()
    assert encrypted.restore("web01@latest") == data


@pytest.mark.parametrize("library", ["zstandard", "blake3", "cryptography"])
def test_a_missing_library_is_named(encrypted, monkeypatch, library):
    real = importlib.import_module

    def refuse(name, package=None):
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(MissingLibrary, match=f"pip install {library}"):
        encrypted.open()


def test_importing_the_package_imports_no_library(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository import "
        "repository\n"
        "assert not {'zstandard', 'blake3', 'cryptography'} & set(sys.modules)"
    )
    path = ":".join(filter(None, sys.path))
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path})


def test_compression_that_gains_little_is_not_kept(helpers):
    noise = memoryview(helpers.content(100_000))
    encoded = Codec().compress(noise)
    assert encoded.raw and encoded.data is noise


def test_compression_that_gains_is_kept():
    encoded = Codec().compress(memoryview(b"gain" * 1000))
    assert not encoded.raw and len(encoded.data) < 100


@pytest.mark.parametrize("size", [3999, 4001, 0])
def test_a_frame_of_another_length_is_refused(size):
    codec = Codec()
    encoded = codec.compress(memoryview(b"gain" * 1000))
    with pytest.raises(ValueError):
        codec.expand(encoded.data, False, memoryview(bytearray(size)))


def test_a_bomb_is_not_unpacked(either):
    """A blob that says to hold more than a map can is refused before memory is taken."""
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
        RepositoryDamaged,
    )

    point = either.back_up(b"gain" * 50_000).point
    device = either.open().open_disk(point)
    with pytest.raises(RepositoryDamaged, match="says to hold 200000 bytes"):
        device._access.packs.read(device._where(0), 77_824)


def test_neighbours_in_a_pack_are_read_with_one_request(device, data, helpers, monkeypatch):
    requests = []
    real = LocalStore.read_into

    def count(self, key, offset, target):
        requests.append(key)
        real(self, key, offset, target)

    read(device, 0, 1)  # its map is read, and the first chunk kept
    monkeypatch.setattr(LocalStore, "read_into", count)
    assert read(device, 0, 10 * helpers.CHUNK) == data[: 10 * helpers.CHUNK]
    assert len(requests) == 1


def test_a_read_of_many_chunks_names_the_damaged_one(either, device, data, helpers):
    where = device._where(6)
    path = Path(either.url, pack_key(where.pack))
    chunk = helpers.CHUNK
    with path.open("r+b") as pack_file:
        pack_file.seek(where.offset + 7)
        pack_file.write(b"\0\1\2\3")
    with pytest.raises(RepositoryDamaged, match=f"bytes {6 * chunk} to {7 * chunk - 1} "):
        read(device, 2 * chunk, 8 * chunk)
    assert read(device, 2 * chunk, 4 * chunk) == data[2 * chunk : 6 * chunk]


def test_a_pack_that_was_cut_gives_what_is_before_the_cut(either, device, data, helpers):
    where = device._where(3)
    os.truncate(Path(either.url, pack_key(where.pack)), where.offset + 10)
    with pytest.raises(RepositoryDamaged, match="cut short"):
        read(device, 0, 10 * helpers.CHUNK)
    assert read(device, 0, 3 * helpers.CHUNK) == data[: 3 * helpers.CHUNK]
