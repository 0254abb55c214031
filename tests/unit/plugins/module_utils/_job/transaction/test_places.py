# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a transaction: damaged, elsewhere, and made by others."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import transaction_mark
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskExists,
    InvalidRequest,
    UnsafePath,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transaction import (
    ending,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.transaction.disks import (  # noqa: E501
    ACCESS,
    SIZE,
    begin,
    change,
    changed,
    commit,
    content,
    cut_off,
    files_of,
    found,
    raw,
    refused,
    vmdk,
)

# Its files


@pytest.mark.parametrize("suffix", ["", ".grains", ".use", ".sums"])
def test_part_of_the_overlay_is_gone(plain, suffix):
    begun = change(plain)
    os.unlink(begun.mark.members[0].overlay + suffix)
    refused(plain, CorruptDisk, "the overlay of this transaction is damaged")
    with pytest.raises(CorruptDisk, match="the overlay of this transaction is damaged"):
        begin(plain)


@pytest.mark.parametrize(("suffix", "offset"), [(".grains", 20), (".grains", 515), (".use", 0)])
def test_overlay_is_damaged(plain, suffix, offset):
    begun = change(plain)
    with open(begun.mark.members[0].overlay + suffix, "r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff\xff")
    refused(plain, CorruptDisk, "the overlay of this transaction is damaged")


def test_one_bit_of_the_overlay_has_rotted(plain):
    """Also where the transaction went on, and wrote elsewhere."""
    begun = change(plain)
    with open(begun.mark.members[0].overlay, "r+b") as stream:
        stream.seek(200_100)
        stream.write(b"\x76")
    refused(plain, CorruptDisk, "is damaged, nothing of it was applied at byte 196608")
    with begun.openers(ACCESS)[plain]() as disk:
        disk.write(900_000, b"\x78" * 300)
    refused(plain, CorruptDisk, "is damaged, nothing of it was applied at byte 196608")


def test_overlay_is_cut(plain):
    begun = change(plain)
    os.truncate(begun.mark.members[0].overlay, SIZE - 1)
    refused(plain, CorruptDisk, "the overlay of this transaction is damaged")
    ending.discard(begun.mark)
    assert begin(plain)


@pytest.mark.parametrize("suffix", ["", ".grains", ".sums", ".before"])
def test_part_is_gone_when_the_commit_has_begun(plain, suffix):
    """To discard it is no way out any more, so nobody is told to."""
    begun = change(plain)
    cut_off(begun)
    os.unlink(begun.mark.members[0].overlay + suffix)
    for attempt in (lambda: ending.check_commit(ACCESS, found(plain)), lambda: commit(plain)):
        with pytest.raises(CorruptDisk, match="cannot") as caught:
            attempt()
        assert f"remove {begun.mark.path}, and then restore" in str(caught.value)
        assert "discard" not in str(caught.value)
        assert "nothing of it was applied" not in str(caught.value)


# Where it lies


def test_overlay_elsewhere(plain, tmp_path):
    place = tmp_path / "large" / "writes"
    place.parent.mkdir()
    assert begin(plain, overlay=str(place)).as_dict()["overlay"] == str(place)
    assert begin(plain).as_dict()["overlay"] == str(place)
    with pytest.raises(InvalidRequest, match="keeps its writes elsewhere"):
        begin(plain, overlay=str(tmp_path / "other"))
    commit(plain)
    assert os.listdir(place.parent) == []


def test_foreign_file_is_let_be(plain, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(DiskExists):
        begin(plain, overlay=str(tmp_path / "mine"))
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert found(plain) is None


def test_beginning_that_fails_leaves_nothing(plain, tmp_path):
    (tmp_path / "writes.1").write_bytes(b"mine")
    data = raw(tmp_path)
    files = files_of(tmp_path)
    with pytest.raises(DiskExists):
        begin(plain, data, overlay=str(tmp_path / "writes"))
    assert files_of(tmp_path) == files


def test_mark_that_would_not_count(plain, tmp_path, monkeypatch):
    """What root writes on some shares is somebody else's."""
    files = files_of(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(transaction_mark, "write_durably", _for_everybody)
        with pytest.raises(UnsafePath):
            begin(plain)
    assert files_of(tmp_path) == files


def _for_everybody(path, data, mode):
    with open(path, "wb") as stream:
        stream.write(data)
    os.chmod(path, mode | 0o022)


def test_overlay_of_another_disk_is_let_be(plain, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    twin = vmdk(other / "disk.vmdk")
    first = begin(plain, overlay=str(tmp_path / "writes"))
    with pytest.raises(DiskExists):
        begin(twin, overlay=str(tmp_path / "writes"))
    assert begin(plain).mark == first.mark


def test_folder_may_move(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    path = vmdk(old / "disk.vmdk")
    after = changed(path)
    change(path)
    old.rename(new)
    commit(str(new / "disk.vmdk"))
    assert content(str(new / "disk.vmdk")) == after


def test_copy_of_the_folder_is_another_disk(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    change(vmdk(old / "disk.vmdk"))
    for name in os.listdir(old):
        (new / name).write_bytes((old / name).read_bytes())
        (new / name).chmod(0o600)
    with pytest.raises(CorruptDisk, match="is another disk by now"):
        commit(str(new / "disk.vmdk"))


# Marks that others have made


def test_mark_that_anybody_could_have_made(plain):
    change(plain)
    os.chmod(plain + ".vdisk-transaction", 0o666)
    with pytest.raises(UnsafePath, match="anybody could have put there"):
        content(plain)


def test_link_for_a_mark(plain, tmp_path):
    os.symlink(tmp_path / "elsewhere", plain + ".vdisk-transaction")
    with pytest.raises(UnsafePath, match="found a link"):
        content(plain)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_no_file_for_a_mark(plain, make):
    make(plain + ".vdisk-transaction")
    with pytest.raises(UnsafePath, match="found no plain file"):
        content(plain)


@pytest.mark.parametrize("place", [0, 1, 4])
def test_mark_with_a_name_that_cannot_be(plain, place):
    mark = change(plain).mark
    facts = json.loads(open(mark.path).read())  # noqa: SIM115
    facts["members"][0][place] = "/a\0b"
    with open(mark.path, "w") as stream:
        json.dump(facts, stream)
    with pytest.raises(CorruptDisk, match="cannot be read"):
        content(plain)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"version": 1, "members": [[1]]}', b"[]"])
def test_nonsense_for_a_mark(plain, text):
    with open(plain + ".vdisk-transaction", "wb") as stream:
        stream.write(text)
    with pytest.raises(CorruptDisk, match="cannot be read"):
        content(plain)


def test_mark_cannot_name_files_to_delete(plain, tmp_path):
    """But its own overlay."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    mark = change(plain).mark
    facts = json.loads(open(mark.path).read())  # noqa: SIM115
    facts["members"][0][1] = str(victim)
    with open(mark.path, "w") as stream:
        json.dump(facts, stream)
    ending.discard(found(plain).mark)
    assert victim.read_bytes() == b"precious"
