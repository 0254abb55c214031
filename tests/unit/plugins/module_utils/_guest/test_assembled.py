# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of several pieces, and encrypted ones, against plain bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    OutOfRange,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.assembled import (
    Piece,
    Striped,
    joined,
    part_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.luks import sectors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.luks.device import LuksDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.luks.header import Payload
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.luks.sectors import (
    SectorCipher,
)

SIZE = 24 * 1024
accesses = st.lists(
    st.tuples(st.booleans(), st.integers(0, SIZE), st.binary(max_size=6000)), max_size=12
)


def three_disks():
    return [MemoryDevice(bytes([number]) * 16384) for number in range(3)]


def linear():
    return joined([Piece(0, 512, 4096), Piece(2, 0, 16384), Piece(1, 8192, 4096)])


def striped():
    pieces = tuple(Piece(number, 512 * number, 8192) for number in range(3))
    return Striped(pieces, 1024)


def mixed():
    """A stripe set behind a linear piece, and a piece of all that."""
    pieces = (Piece(1, 0, 8192), Piece(2, 0, 8192))
    whole = joined([Piece(0, 0, 16384), Striped(pieces, 4096)])
    return part_of(whole, 1000, SIZE)


def hold_against_bytes(device, steps):
    """Every access, as if the device were a bytearray."""
    expected = bytearray(read(device, 0, device.size))
    for zeros, offset, data in steps:
        end = offset + len(data)
        if end > device.size:
            with pytest.raises(OutOfRange):
                device.write(offset, data)
            continue
        if zeros:
            device.zero(offset, len(data))
        else:
            device.write(offset, data)
        expected[offset:end] = bytes(len(data)) if zeros else data
        assert read(device, offset, len(data)) == expected[offset:end]
    assert read(device, 0, device.size) == expected
    assert sum(extent.length for extent in device.extents()) == device.size


@pytest.mark.parametrize("make", [linear, striped, mixed])
@given(steps=accesses)
def test_assembled_volume_is_as_a_plain_one(make, steps):
    hold_against_bytes(make().open(three_disks()), steps)


@pytest.mark.parametrize("make", [linear, striped, mixed])
def test_what_is_written_lies_nowhere_twice(make):
    disks = three_disks()
    device = make().open(disks)
    before = [bytes(disk.content) for disk in disks]
    device.write(0, b"\xff" * device.size)
    pairs = zip(before, disks, strict=True)
    changed = sum(a != b for old, disk in pairs for a, b in zip(old, disk.content, strict=True))
    assert changed == device.size == make().size


def test_stripes_are_laid_out_as_dm_stripe_does():
    """Documentation/admin-guide/device-mapper/striped.rst: chunk n on disk n % count."""
    disks = [MemoryDevice(4096), MemoryDevice(4096)]
    device = Striped((Piece(0, 0, 4096), Piece(1, 0, 4096)), 1024).open(disks)
    device.write(0, b"".join(bytes([number]) * 1024 for number in range(8)))
    assert [disk.content[::1024] for disk in disks] == [b"\0\2\4\6", b"\1\3\5\7"]


def test_neighbours_become_one_piece():
    assert joined([Piece(1, 0, 10), Piece(1, 10, 5), Piece(1, 15, 1)]) == Piece(1, 0, 16)
    assert joined([Piece(1, 0, 10), Piece(0, 10, 5)]).place is None
    assert part_of(Piece(2, 100, 50), 10, 20).place == (2, 110)


CIPHERS = [
    ("aes-xts-plain64", 64),
    ("aes-xts-plain64be", 32),
    ("aes-cbc-essiv:sha256", 32),
    ("aes-cbc-plain", 16),
]


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize(("cipher", "length"), CIPHERS)
@given(steps=accesses)
def test_encrypted_volume_is_as_a_plain_one(cipher, length, sector, steps):
    payload = Payload(8192, SIZE, cipher, sector, 3)
    container = MemoryDevice(8192 + SIZE + 512)
    hold_against_bytes(LuksDevice(container, payload, bytes(range(length))), steps)
    assert container.content[:8192] == bytes(8192)
    assert container.content[-512:] == bytes(512)


@pytest.mark.parametrize(("cipher", "length"), CIPHERS)
def test_equal_sectors_are_not_equal_when_encrypted(cipher, length):
    encrypted = bytearray(4096)
    SectorCipher(cipher, bytes(range(length))).encrypt(0, memoryview(encrypted))
    sectors = {bytes(encrypted[start : start + 512]) for start in range(0, 4096, 512)}
    assert len(sectors) == 8


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize(("cipher", "length"), CIPHERS)
def test_both_libraries_say_the_same(cipher, length, sector, monkeypatch):
    results = []
    for library in (sectors.libcrypto, lambda: None):
        monkeypatch.setattr(sectors, "libcrypto", library)
        engine = SectorCipher(cipher, bytes(range(length)), sector)
        data = bytearray(bytes(range(256)) * 64)
        engine.encrypt(8, memoryview(data))
        results.append(bytes(data))
        engine.decrypt(8, memoryview(data))
        assert data == bytes(range(256)) * 64
    assert results[0] == results[1] != bytes(range(256)) * 64


def test_xts_is_that_of_the_standard():
    """IEEE 1619-2007, annex B, vector 4 (its first bytes): keys of 128 bits, data unit 0."""
    key = bytes.fromhex("2718281828459045235360287471352631415926535897932384626433832795")
    data = bytearray(bytes(range(256)) * 2)
    SectorCipher("aes-xts-plain64", key).encrypt(0, memoryview(data))
    assert data[:32].hex() == ("27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c")


@pytest.mark.parametrize(
    ("cipher", "length", "error"),
    [
        ("twofish-xts-plain64", 64, UnsupportedDisk),
        ("aes-lrw-benbi", 48, UnsupportedDisk),
        ("cipher_null-ecb", 0, UnsupportedDisk),
        ("aes-xts-plain64", 48, CorruptDisk),
        ("aes-cbc-essiv:whatever", 32, UnsupportedDisk),
        ("aes-cbc-essiv:sha512", 32, UnsupportedDisk),
        ("aes-cbc-essiv:shake_256", 32, UnsupportedDisk),
    ],
)
def test_what_is_not_known_is_refused(cipher, length, error):
    with pytest.raises(error):
        SectorCipher(cipher, bytes(range(length)))


def test_key_with_equal_halves_is_refused():
    with pytest.raises(CorruptDisk, match="halves"):
        SectorCipher("aes-xts-plain64", bytes(64))
