# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transaction is committed or discarded, and nobody else changes its disks until then."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.transaction_mark import (
    COMMITTING,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transaction import (
    ending,
    pending,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import remove_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.rename import rename_disk
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.transaction.disks import (  # noqa: E501
    ACCESS,
    SIZE,
    TYPES,
    begin,
    change,
    changed,
    commit,
    content,
    files_of,
    found,
    raw,
    vmdk,
)


def test_committed(disk, tmp_path):
    files, after = files_of(tmp_path), changed(disk)
    change(disk)
    assert content(disk) != after
    transfer = commit(disk)
    assert content(disk) == after
    assert transfer.bytes_written == 64 << 10
    assert files_of(tmp_path) == files


def test_discarded(disk, tmp_path):
    files, before = files_of(tmp_path), content(disk)
    ending.discard(change(disk).mark)
    assert content(disk) == before
    assert files_of(tmp_path) == files


def test_goes_on(disk):
    """Also after a reboot: nothing but files says that it is there."""
    first = change(disk)
    second = begin(disk)
    assert second.mark == first.mark
    with second.openers(ACCESS)[disk]() as opened:
        assert bytes(read(opened, 200_000, 300)) == b"\x77" * 300


def test_beginning_changes_no_byte_of_the_disk(disk):
    before = open(disk, "rb").read()  # noqa: SIM115
    change(disk)
    assert open(disk, "rb").read() == before  # noqa: SIM115


def test_trimming_what_is_free_takes_no_room(plain):
    """Only what the disk holds has to be noted: grains 2 to 5 of 16."""
    begun = begin(plain)
    with begun.openers(ACCESS)[plain]() as disk:
        disk.zero(0, SIZE)
        assert sum(run.length for run in disk.written_runs()) == 4 << 16
        assert not any(read(disk, 0, SIZE))
    commit(plain)
    assert not any(content(plain))


def test_several_disks_are_committed_as_one(tmp_path, plain):
    raw = tmp_path / "data.img"
    raw.write_bytes(b"\x22" * 70_000)
    begun = begin(plain, str(raw))
    for opener in begun.openers(ACCESS).values():
        with opener() as disk:
            disk.write(1000, b"\x77" * 100)
    for path in (plain, str(raw)):
        with pytest.raises(InvalidRequest, match="has a pending transaction"):
            ACCESS.open(path, writable=True)
    with pytest.raises(InvalidRequest, match="over other disks than were named"):
        found(plain)
    ending.commit(ACCESS, pending.found(ACCESS, [str(raw), plain]), Silent())
    assert content(plain)[1000:1100] == raw.read_bytes()[1000:1100] == b"\x77" * 100
    assert files_of(tmp_path) == ["data.img", "disk.vmdk"]


def test_further_disk_without_the_leader_is_refused(tmp_path, plain):
    raw = tmp_path / "data.img"
    raw.write_bytes(bytes(70_000))
    begin(plain, str(raw))
    os.unlink(plain + ".vdisk-transaction")
    with pytest.raises(CorruptDisk, match="whose record is missing"):
        ACCESS.open(str(raw))


_changes = st.lists(
    st.tuples(
        st.sampled_from(["write", "zero", "reopen"]),
        st.integers(0, SIZE - 1),
        st.integers(1, 300_000),
        st.integers(1, 255),
    ),
    max_size=8,
)


@settings(max_examples=12, deadline=None)
@given(steps=_changes, disk_type=st.sampled_from([*TYPES, "raw"]))
def test_any_writes_end_in_the_disk(tmp_path_factory, steps, disk_type):
    folder = tmp_path_factory.mktemp("disk")
    path = raw(folder) if disk_type == "raw" else vmdk(folder / "disk.vmdk", disk_type)
    model = bytearray(content(path))
    begun = begin(path)
    disk = begun.openers(ACCESS)[path]()
    for kind, offset, length, value in steps:
        end = min(offset + length, SIZE)
        data = bytes([value if kind == "write" else 0]) * (end - offset)
        if kind == "reopen":
            disk.close()
            disk = begun.openers(ACCESS)[path]()
        else:
            disk.zero(offset, end - offset) if kind == "zero" else disk.write(offset, data)
            model[offset:end] = data
        assert bytes(read(disk, 0, SIZE)) == model
    disk.close()
    commit(path)
    assert content(path) == model


# What others may not do


@pytest.mark.parametrize(
    "action",
    [
        lambda path: ACCESS.open(path, writable=True),
        lambda path: set_metadata(path, {"comment": "x"}),
        lambda path: grow_disk(path, 2 * SIZE),
        remove_disk,
        lambda path: rename_disk(path, os.path.join(os.path.dirname(path), "other.vmdk")),
        lambda path: vmdk(path, replace=True),
    ],
    ids=["write", "metadata", "grow", "remove", "rename", "replace"],
)
def test_who_would_write_is_refused(plain, tmp_path, action):
    change(plain)
    files = files_of(tmp_path)
    with pytest.raises(InvalidRequest, match=r"has a pending transaction.*state: committed"):
        action(plain)
    assert files_of(tmp_path) == files
    commit(plain)


def test_reader_says_that_one_is_pending(plain):
    change(plain)
    with ACCESS.open(plain) as disk:
        assert "a transaction is pending since" in " ".join(disk.flags)


def test_half_merged_disk_is_read_by_nobody(disk):
    after = changed(disk)
    begun = change(disk)
    with ACCESS.open(disk) as base:
        overlay = ending.settled(begun.mark.members[0].overlay, base.size, _identity(begun))
        ending.record(base, overlay, begun.mark.members[0].overlay)
        overlay.close()
    begun.mark.changed_to(COMMITTING)
    for writable in (False, True):
        with pytest.raises(InvalidRequest, match="holds a part of its transaction only"):
            ACCESS.open(disk, writable=writable)
    with pytest.raises(InvalidRequest, match="its commit has begun"):
        ending.discard(found(disk).mark)
    commit(disk)
    assert content(disk) == after


def _identity(begun):
    return begun.mark.members[0].identity
