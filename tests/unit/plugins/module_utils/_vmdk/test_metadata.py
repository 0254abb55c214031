# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data base of a disk: set, dropped, kept."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    InvalidRequest,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    canonical_uuid,
    check_key,
    check_metadata,
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

SIZE = 1 << 20
UUID = "60 00 C2 9a 4c 1d 52 f0-8f 3b 0d 6f 0f 3a 9b 71"
TYPES = ["monolithicSparse", "monolithicFlat", "streamOptimized"]


def _metadata(path):
    with open_disk(path) as disk:
        return disk.descriptor.metadata()


@pytest.mark.parametrize("disk_type", TYPES)
def test_named_entries_change_and_the_others_stay(make_disk, content_of, disk_type):
    path = make_disk("disk.vmdk", disk_type, SIZE, {0: b"\x11" * (1 << 16)})
    before, content = _metadata(path), content_of(path)
    set_metadata(path, {"comment": "new", "ADAPTERTYPE": "ide"}, remove=["toolsVersion"])
    expected = {**before, "adapterType": "ide", "comment": "new"}
    del expected["toolsVersion"]
    assert _metadata(path) == expected
    assert content_of(path) == content


@pytest.mark.parametrize("disk_type", TYPES)
def test_nothing_new_writes_nothing(make_disk, disk_type):
    path = make_disk("disk.vmdk", disk_type, SIZE)
    before, changed = path.read_bytes(), path.stat().st_mtime_ns
    set_metadata(path, {"adapterType": "lsilogic"}, remove=["comment"])
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == changed


def test_entries_that_outgrow_a_stream_are_refused(make_disk):
    path = make_disk("disk.vmdk", "streamOptimized", SIZE)
    before = path.read_bytes()
    with pytest.raises(UnsupportedDisk, match="no room"):
        set_metadata(path, {"comment": "x" * 20_000})
    assert path.read_bytes() == before


def test_entries_that_outgrow_a_sparse_disk_move_the_descriptor(make_disk, content_of, qemu_img):
    path = make_disk("disk.vmdk", "monolithicSparse", SIZE, {0: b"data"})
    before = content_of(path)
    set_metadata(path, {"comment": "x" * 20_000})
    assert _metadata(path)["comment"] == "x" * 20_000
    assert content_of(path) == before
    assert "No errors" in qemu_img("check", path)


def test_encrypted_disk_is_refused(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", SIZE)
    with open(path, "a", encoding="utf-8") as file:
        file.write('encryptionKeys="vmware:key/list/(pair/(fqid/x))"\n')
    before = path.read_bytes()
    for change in (set_metadata, check_metadata):
        with pytest.raises(UnsupportedDisk, match="encrypted"):
            change(path, {"comment": "x"})
    assert path.read_bytes() == before


def test_disk_in_use_is_left_alone(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", SIZE)
    with open_disk(path), pytest.raises(DiskInUse):
        set_metadata(path, {"comment": "x"})


@pytest.mark.parametrize("key", ["", "two words", "a=b", 'a"b', "line\nbreak", "ddb.", "ключ"])
def test_impossible_keys(key):
    with pytest.raises(InvalidRequest, match="key"):
        check_key(key)


def test_prefix_may_be_given(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", SIZE)
    set_metadata(path, {"ddb.comment": "x"})
    assert _metadata(path)["comment"] == "x"


@pytest.mark.parametrize(
    "text", [UUID, UUID.replace(" ", ""), "6000C29a-4c1d-52f0-8f3b-0d6f0f3a9b71"]
)
def test_uuid_is_written_as_vmware_does(text):
    assert canonical_uuid(text) == UUID


@pytest.mark.parametrize("text", ["", "60 00", UUID + "0", "g" * 32])
def test_impossible_uuids(text):
    with pytest.raises(InvalidRequest, match="uuid"):
        canonical_uuid(text)
