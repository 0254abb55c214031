# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mark means its own disks and its own overlay, whatever it says, and wherever it was copied."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import (
    kept_overlay,
    transaction_mark,
    transaction_overlay,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskInUse,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.transaction_mark import (
    OVER,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job import transact_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transaction import (
    ending,
    pending,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.transaction.disks import (  # noqa: E501
    ACCESS,
    begin,
    change,
    changed,
    commit,
    content,
    cut_off,
    files_of,
    found,
    raw,
    vmdk,
)


@pytest.fixture
def two(tmp_path):
    """Disks in two folders, with one transaction that was cut off while it was committed."""
    paths = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        paths.append(raw(tmp_path / name))
    begun = begin(*paths)
    for opener in begun.openers(ACCESS).values():
        with opener() as disk:
            disk.write(200_000, b"\x77" * 300)
    cut_off(begun)
    return paths


def rewritten(path, edit):
    """The mark of a disk, as somebody else might write it."""
    place = path + ".vdisk-transaction"
    with open(place) as stream:
        facts = json.load(stream)
    edit(facts)
    with open(place, "w") as stream:
        json.dump(facts, stream)


def test_mark_cannot_name_a_disk_that_does_not_know_of_it(two, tmp_path):
    """Else who may write to the folder of one disk could have root write to any file."""
    victim = tmp_path / "victim.img"
    shutil.copyfile(two[1], victim)
    before = victim.read_bytes()

    def edit(facts):
        facts["members"][1][0] = str(victim)
        facts["members"][1][4] = str(victim) + ".vdisk-transaction"

    rewritten(two[0], edit)
    with pytest.raises(CorruptDisk, match="to which it does not belong"):
        commit(two[0])
    assert victim.read_bytes() == before


def test_mark_cannot_call_a_disk_by_the_name_of_another(two, tmp_path):
    victim = tmp_path / "victim.img"
    shutil.copyfile(two[1], victim)
    before = victim.read_bytes()
    rewritten(two[0], lambda facts: facts["members"][1].__setitem__(0, str(victim)))
    with pytest.raises(InvalidRequest, match="has another name by now"):
        found(two[0])
    assert victim.read_bytes() == before


def test_copy_of_one_of_two_folders_leaves_the_other_disk_alone(two, tmp_path):
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    copy = str(tmp_path / "copy" / "disk.img")
    files = files_of(tmp_path / "other")
    with pytest.raises(CorruptDisk, match="to which it does not belong"):
        commit(copy)
    assert files_of(tmp_path / "other") == files
    commit(two[1])
    assert [content(path)[200_000:200_300] for path in two] == [b"\x77" * 300] * 2


@pytest.mark.parametrize("state", ["pending", "over"])
def test_copy_leaves_the_overlay_to_the_first(plain, tmp_path, state):
    """An overlay that lies elsewhere is named by both."""
    folder, copy = tmp_path / "folder", tmp_path / "copy"
    folder.mkdir()
    path, after = vmdk(folder / "disk.vmdk"), changed(plain)
    begun = begin(path, overlay=str(tmp_path / "writes"))
    with begun.openers(ACCESS)[path]() as disk:
        disk.write(200_000, b"\x77" * 300)
    shutil.copytree(folder, copy)
    twin = str(copy / "disk.vmdk")
    if state == "over":
        found(twin).mark.changed_to(OVER)
        transact_disk.finish(ACCESS, [twin])
    else:
        ending.discard(found(twin).mark)
    assert found(twin) is None
    commit(path)
    assert content(path) == after
    assert not (tmp_path / "writes").exists()


def test_foreign_overlay_cannot_be_named_away(plain, tmp_path):
    (tmp_path / "mine").mkdir()
    mine = raw(tmp_path / "mine")
    theirs, after = change(plain).mark.members[0], changed(plain)
    change(mine)

    def edit(facts):
        facts["members"][0][1:3] = [theirs.overlay, theirs.identity]

    rewritten(mine, edit)
    ending.discard(found(mine).mark)
    commit(plain)
    assert content(plain) == after


def test_mark_beside_another_disk(plain, tmp_path):
    """Somebody has renamed the mark, or the disk and the mark."""
    change(plain)
    other = vmdk(tmp_path / "other.vmdk")
    os.rename(plain + ".vdisk-transaction", other + ".vdisk-transaction")
    with pytest.raises(CorruptDisk, match="has the mark of another disk beside it"):
        content(other)


def test_overlay_of_somebody_else_is_no_leftover(plain, tmp_path):
    """In a folder for everybody, its owner could name any file there."""
    if os.geteuid():
        pytest.skip("only root can give files away")
    begun = begin(plain, overlay=str(tmp_path / "writes"))
    os.chown(tmp_path / "writes.grains", 12345, -1)
    (tmp_path / "writes.use").write_bytes(b"precious")
    ending.discard(begun.mark)
    assert (tmp_path / "writes.use").read_bytes() == b"precious"


def test_device_has_another_name_by_now(tmp_path, monkeypatch):
    """As /dev/sdb after a reboot; what the kernel says of the device stays."""
    path, after = raw(tmp_path), changed(raw(tmp_path))

    def key(name):
        return f"wwid {os.stat(name).st_size}" if os.path.isfile(name) else None

    monkeypatch.setattr(transaction_mark, "device_key", key)
    cut_off(change(path))
    renamed = str(tmp_path / "sdc")
    os.rename(path, renamed)
    other = tmp_path / "disk.img"
    other.write_bytes(b"\x22" * 4096)
    commit(renamed)
    assert content(renamed) == after
    assert other.read_bytes() == b"\x22" * 4096


def test_device_that_is_gone_when_all_is_over(plain, tmp_path, monkeypatch):
    """What is left of the transaction is removed all the same."""
    data = raw(tmp_path)

    def key(name):
        return "wwid 1" if name == data and os.path.exists(name) else None

    monkeypatch.setattr(transaction_mark, "device_key", key)
    begin(plain, data).mark.changed_to(OVER)
    os.unlink(data)
    assert transact_disk.finish(ACCESS, [plain])
    assert files_of(tmp_path) == ["disk.vmdk"]


# Runs at the same time


def test_discarding_what_somebody_commits_meanwhile(plain):
    """What was pending when it was looked at is half merged by now."""
    after, begun = changed(plain), change(plain)
    cut_off(begun)
    with pytest.raises(DiskInUse, match="another run has gone on with this transaction"):
        ending.discard(begun.mark)
    commit(plain)
    assert content(plain) == after


def test_forgetting_what_is_another_transaction_by_now(plain):
    over = change(plain).mark.changed_to(OVER)
    ending.forget(over)
    begun, after = change(plain), changed(plain)
    ending.forget(over)
    assert found(plain).mark == begun.mark
    commit(plain)
    assert content(plain) == after


def test_what_another_run_ends_meanwhile_is_not_opened(plain, monkeypatch):
    begun = change(plain)
    opener = begun.openers(ACCESS)[plain]
    real = kept_overlay._lock

    def meanwhile(file):
        monkeypatch.setattr(kept_overlay, "_lock", real)
        ending.discard(begun.mark)
        real(file)

    monkeypatch.setattr(kept_overlay, "_lock", meanwhile)
    for _time in range(2):
        with pytest.raises(DiskInUse, match="has gone on with"):  # and not: it is damaged
            opener()
    after = changed(plain)
    change(plain)
    commit(plain)
    assert content(plain) == after


def test_overlay_that_another_run_writes_just_now_is_not_called_damaged(plain, monkeypatch):
    begun, real = change(plain), transaction_overlay._sum_of

    def meanwhile(log):
        monkeypatch.setattr(transaction_overlay, "_sum_of", real)
        with begun.openers(ACCESS)[plain]() as disk:
            disk.write(disk.size - 512, b"more")
        return real(log)

    monkeypatch.setattr(transaction_overlay, "_sum_of", meanwhile)
    assert begin(plain).mark == begun.mark


def test_nobody_begins_or_removes_while_another_run_removes(plain, monkeypatch):
    """The files of the next transaction have the names of those that go."""
    over, after = change(plain).mark.changed_to(OVER), changed(plain)
    remove, seen = ending.remove_overlay, []

    def meanwhile(*which):
        with pytest.raises(DiskInUse, match="ends its transaction just now"):
            pending.begin(ACCESS, [plain], None)
        with pytest.raises(DiskInUse, match="another run removes this transaction"):
            ending.forget(over)
        seen.append(which)
        remove(*which)

    with monkeypatch.context() as patched:
        patched.setattr(ending, "_FORGET_SECONDS", 0)
        patched.setattr(ending, "remove_overlay", meanwhile)
        ending.forget(over)
    assert len(seen) == 1
    change(plain)
    commit(plain)
    assert content(plain) == after


def test_further_disk_that_a_killed_beginning_has_not_marked(tmp_path, plain):
    """From the commit on, nobody reads it, either."""
    data = raw(tmp_path)
    begun = begin(plain, data)
    os.unlink(data + ".vdisk-transaction")
    cut_off(pending.found(ACCESS, [plain, data]))
    with pytest.raises(InvalidRequest, match="holds a part of its transaction only"):
        ACCESS.open(data)
    ending.commit(ACCESS, pending.found(ACCESS, [data]), Silent())
    assert begun.mark.members[1].disk == data


def test_mount_that_fails_keeps_what_somebody_else_has_begun(plain, monkeypatch):
    after, others = changed(plain), []
    real = transact_disk.finish

    def meanwhile(access, paths):
        others.append(change(plain))
        return real(access, paths)

    with monkeypatch.context() as patched:
        patched.setattr(transact_disk, "finish", meanwhile)
        with pytest.raises(KeyError), transact_disk.begun(ACCESS, [plain], None) as begun:
            raise KeyError
    assert begun.mark == others[0].mark
    commit(plain)
    assert content(plain) == after


def test_one_of_its_disks_can_be_read_alone(tmp_path, plain):
    begin(plain, raw(tmp_path))
    assert not transact_disk.unfinished(ACCESS, [plain])
    assert not transact_disk.finish(ACCESS, [plain])
