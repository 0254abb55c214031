# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile disks: whatever they say, there is an answer, soon, and inside of the disk."""

import hashlib
import json
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskError,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.discover import find_volumes
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.luks.secret import Secret
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.lvm import text
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.lvm.group import read_group

MIB = 1 << 20
PHYSICAL = "abcdef-0000-0000-0000-0000-0000-000000"


def crc(data):
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def physical_volume(described, size=MIB):
    """One with this description, as LVM lays it out, with its checksums right."""
    disk = bytearray(size)
    header = PHYSICAL.replace("-", "").encode() + struct.pack("<Q", size)
    header += struct.pack("<QQQQQQQQ", 1 << 17, 0, 0, 0, 4096, 1 << 16, 0, 0)
    rest = struct.pack("<I8s", 32, b"LVM2 001") + header
    rest = rest.ljust(512 - 20, b"\0")
    disk[512:1024] = struct.pack("<8sQI", b"LABELONE", 1, crc(rest)) + rest
    data = described.encode()
    assert len(data) < 1 << 15
    area = struct.pack("<16sIQQ", b" LVM2 x[5A%r0N*>", 1, 4096, 1 << 16)
    area += struct.pack("<QQII", 512, len(data), crc(data), 0)
    area = area.ljust(508, b"\0")
    disk[4096:4608] = struct.pack("<I", crc(area)) + area
    disk[4608 : 4608 + len(data)] = data
    return disk


def group(stripes='"pv0", 0', extents=1, more="", physical=PHYSICAL, start=2048):
    return f"""vg0 {{
id = "vvvvvv-0000-0000-0000-0000-0000-000000"
seqno = 1
extent_size = 128
physical_volumes {{
pv0 {{
id = "{physical}"
pe_start = {start}
}}
}}
logical_volumes {{
root {{
id = "llllll-0000-0000-0000-0000-0000-000000"
status = ["READ", "WRITE", "VISIBLE"]
segment_count = 1
segment1 {{
start_extent = 0
extent_count = {extents}
type = "striped"
stripes = [{stripes}]
{more}
}}
}}
}}
}}"""


def test_a_description_that_is_right_is_understood():
    volumes = find_volumes([MemoryDevice(physical_volume(group(start=256)))])
    assert [(v.name, v.place, v.size) for v in volumes[1:]] == [("vg0/root", (0, 1 << 17), 1 << 16)]


def test_what_is_for_reading_only_is_so_inside_too():
    """Two partitions of one place: what is on one of them is not to be written to."""
    disk = bytearray(2 * MIB)
    for index in range(2):
        entry = struct.pack("<B3xB3xII", 0, 0x8E, 2048, 2048)
        disk[446 + 16 * index : 462 + 16 * index] = entry
    disk[510:512] = b"\x55\xaa"
    disk[MIB:] = physical_volume(group(start=256))
    twice = find_volumes([MemoryDevice(disk)])
    assert "is there 2 times" in twice[2].problem
    disk[MIB - 1] = 0
    disk[446 + 16 + 4] = 0x05  # now the second one is only there to hold others
    assert [v.read_only_because for v in find_volumes([MemoryDevice(disk)])][2] == ""
    struct.pack_into("<B3xII", disk, 446 + 16 + 4, 0x83, 4000, 96)
    volumes = find_volumes([MemoryDevice(disk)])
    assert [v.read_only_because for v in volumes] == [
        "it overlaps partition 2", "it overlaps partition 1", "it overlaps partition 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "hostile",
    [
        {"stripes": '"pv0", -100'},
        {"stripes": '"pv0", 99999999999999999999'},
        {"stripes": '"pv0"'},
        {"stripes": "0, 0"},
        {"stripes": '"pv0", "pv0"'},
        {"stripes": '["pv0"], 0'},
        {"extents": -1},
        {"extents": 0},
        {"extents": 99999999999999999999},
        {"extents": 8},
        {"more": "stripe_count = 0"},
        {"more": "stripe_count = 99999999999999999999"},
        {"more": "stripe_count = 2\nstripe_size = 0", "stripes": '"pv0", 0, "pv0", 1'},
        {"more": 'type = "snapshot"\norigin = "root"\ncow_store = ["x"]'},
        {"more": 'type = "snapshot"'},
        {"physical": "nobody"},
        {"start": -99999},
        {"start": '"far"'},
        {"start": "1.5"},
        {"stripes": '"pv0", 0.5'},
        {"stripes": f'"pv0", "{"x" * 4096}"'},
    ],
)
def test_hostile_descriptions_end_in_words(hostile):
    volumes = find_volumes([MemoryDevice(physical_volume(group(**hostile)))])
    assert not any(volume.mountable for volume in volumes)
    assert any(volume.problem for volume in volumes)


def test_logical_volume_that_holds_itself_ends():
    """Its content begins with the label of the physical volume that it lies on."""
    disk = physical_volume(group(start=0, extents=16))
    started = time.monotonic()
    volumes = find_volumes([MemoryDevice(disk)])
    assert 1 <= len(volumes) <= 3 and time.monotonic() - started < 60


@pytest.mark.parametrize(
    "bad", ["a {", "a = ", "= 1", "a = [1", "}", 'a = "x', "a { b { c = } }", "a" + " { a" * 50]
)
def test_text_that_is_none_is_refused(bad):
    with pytest.raises(ValueError):
        text.parse(bad)


@pytest.mark.parametrize("deep", ["a = " + "[" * 50_000, "a { " * 50_000, "a = " + "9" * 50_000])
def test_text_that_goes_deep_is_refused(deep):
    with pytest.raises(CorruptDisk):
        read_group(deep)


def luks2(change):
    """A header with its checksums right."""
    facts = {
        "keyslots": {"0": slot()},
        "segments": {
            "0": {"type": "crypt", "offset": "40960", "size": "dynamic", "iv_tweak": "0",
                  "encryption": "aes-xts-plain64", "sector_size": 512}
        },
        "digests": {
            "0": {"type": "pbkdf2", "keyslots": ["0"], "segments": ["0"], "hash": "sha256",
                  "iterations": 1000, "salt": "AAAA", "digest": "A" * 40}
        },
        "tokens": {},
        "config": {"json_size": "12288", "keyslots_size": "8192"},
    }  # fmt: skip
    change(facts)
    disk = bytearray(MIB)
    head = struct.pack(">6sHQQ48s32s64s40s48sQ", b"LUKS\xba\xbe", 2, 0x4000, 1, b"", b"sha256",
                       b"", b"uuid", b"", 0)  # fmt: skip
    disk[: len(head)] = head
    shown = json.dumps(facts).encode()
    disk[4096 : 4096 + len(shown)] = shown
    disk[448:480] = hashlib.sha256(disk[:0x4000]).digest()
    return disk


def slot(**kdf):
    return {
        "type": "luks2",
        "key_size": 32,
        "af": {"type": "luks1", "stripes": 4, "hash": "sha256"},
        "area": {"type": "raw", "offset": "32768", "size": "4096",
                 "encryption": "aes-xts-plain64", "key_size": 32},
        "kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": 1000, "salt": "AAAA"} | kdf,
    }  # fmt: skip


def set_in(part, **values):
    return lambda facts: facts[part]["0"].update(values)


@pytest.mark.parametrize(
    "change",
    [
        set_in("keyslots", key_size=0),
        set_in("keyslots", key_size=1 << 60),
        set_in("keyslots", key_size=-32),
        set_in("keyslots", af={"type": "luks1", "stripes": 1 << 60, "hash": "sha256"}),
        set_in("keyslots", af={"type": "luks1", "stripes": 4, "hash": "nonesuch"}),
        set_in("keyslots", af={"type": "luks1", "stripes": 4, "hash": "shake_128"}),
        set_in("keyslots", kdf=slot(iterations=1 << 40)["kdf"]),
        set_in("keyslots", kdf=slot(iterations=-1)["kdf"]),
        set_in("keyslots", kdf=slot(hash="shake_128")["kdf"]),
        set_in("keyslots", priority="high"),
        set_in("segments", sector_size=0),
        set_in("segments", sector_size=513),
        set_in("segments", offset="-1"),
        set_in("segments", offset="0"),
        set_in("segments", size=str(1 << 70)),
        set_in("segments", iv_tweak="-1"),
        set_in("segments", iv_tweak=str(1 << 200)),
        set_in("digests", iterations=1 << 40),
        set_in("digests", hash="nonesuch"),
        set_in("digests", hash=5),
        set_in("segments", encryption=5),
        set_in("keyslots", kdf=slot(hash=5)["kdf"]),
        set_in("keyslots", af={"type": "luks1", "stripes": 4, "hash": 5}),
        set_in("keyslots", area=slot()["area"] | {"encryption": ["aes-xts-plain64"]}),
        set_in("digests", digest=""),
        lambda facts: facts.update(keyslots={str(number): slot() for number in range(1000)}),
        lambda facts: facts.update(keyslots=[]),
        lambda facts: facts.update(digests={}),
        lambda facts: facts.update(segments={}),
        lambda facts: facts.clear(),
    ],
)
def test_hostile_headers_of_luks_end_in_words(change):
    started = time.monotonic()
    try:
        volumes = find_volumes([MemoryDevice(luks2(change))], [Secret(b"key")])
    except DiskError as error:
        assert str(error)
    else:
        assert [bool(volume.problem) for volume in volumes] == [True]
    assert time.monotonic() - started < 60


seeds = st.sampled_from(
    [
        bytes(64 << 10),
        bytes(physical_volume(group()))[: 64 << 10],
        bytes(luks2(lambda facts: None))[: 64 << 10],
        bytes(510) + b"\x55\xaa" + b"EFI PART" + bytes(1000),
    ]
)


@given(seeds, st.lists(st.tuples(st.integers(0, (64 << 10) - 64), st.binary(max_size=64))))
def test_any_bytes_end_in_volumes_or_in_words(seed, noise):
    disk = bytearray(seed)
    for offset, data in noise:
        disk[offset : offset + len(data)] = data
    try:
        volumes = find_volumes([MemoryDevice(disk)], [Secret(b"key")])
    except DiskError as error:
        assert str(error)
        return
    for volume in volumes:
        if volume.place is not None:
            assert 0 <= volume.place[1] <= volume.place[1] + volume.size <= len(disk)
