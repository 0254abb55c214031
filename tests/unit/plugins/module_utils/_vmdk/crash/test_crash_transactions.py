# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions that a crash cuts off at every step: each disk is as before, or as after."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.transaction_mark import (
    COMMITTING,
    OVER,
    PENDING,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transaction import (
    ending,
    identity,
    pending,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.disks import (
    CHILD,
    GRAIN,
    TYPES,
    chain,
    fill,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.recorder import (  # noqa: E501
    replay,
)

RAW = "raw.img"
ACCESS = Access()


@pytest.fixture(autouse=True)
def by_content(monkeypatch):
    """What was put back on disk has other times and lies elsewhere: it is known by its content."""

    def content(disk):
        return hashlib.sha256(read(disk, 0, disk.size)).hexdigest()[:32]

    monkeypatch.setattr(identity, "identity_of", content)
    monkeypatch.setattr(pending, "identity_of", content)
    monkeypatch.setattr(pending, "owner_of", os.path.basename)


def content_of(path):
    with RawDevice.open(path) if path.name == RAW else open_disk(path) as disk:
        return bytes(read(disk, 0, disk.size))


def raw(folder):
    (folder / RAW).write_bytes((b"\x11" * GRAIN + bytes(GRAIN)) * 2 + b"\x11" * 700)


def paths_in(folder, names):
    return [str(folder / name) for name in names]


def write(folder, names):
    """Over data and over nothing, parts of grains, and zeros over data."""
    begun = pending.begin(ACCESS, paths_in(folder, names), None)
    for number, opened in enumerate(begun.openers(ACCESS).values()):
        with opened() as disk:
            disk.write(GRAIN - 300, bytes([0x77 + number]) * (GRAIN + 600))
            disk.zero(0, 5000)
            disk.write(3 * GRAIN + 100, bytes([0x78 + number]) * 900)


def commit(folder, names):
    ending.commit(ACCESS, pending.found(ACCESS, paths_in(folder, names)), Silent())


def discard(folder, names):
    ending.discard(pending.found(ACCESS, paths_in(folder, names)).mark)


def contents(folder, names):
    return [content_of(folder / name) for name in names]


class Life:
    """Folders with the disks before the transaction, with it pending, and after it."""

    def __init__(self, tmp_path, make, names):
        self.names = names
        self.pending = tmp_path / "pending"
        self.pending.mkdir()
        make(self.pending)
        self.files = sorted(os.listdir(self.pending))
        self.before = contents(self.pending, names)
        write(self.pending, names)
        done = tmp_path / "done"
        shutil.copytree(self.pending, done)
        commit(done, names)
        self.after = contents(done, names)
        assert self.after != self.before

    def require_clean(self, folder):
        left = [name for name in os.listdir(folder) if not name.endswith(".vdisk-tmp")]
        assert sorted(left) == self.files


KINDS = {
    **{kind: (functools.partial(fill, disk_type=kind), ["disk.vmdk"]) for kind in TYPES},
    "child": (chain, [CHILD]),
    "raw": (raw, [RAW]),
    "two": (lambda folder: (fill(folder), raw(folder)), ["disk.vmdk", RAW]),
}
# Of what does not write to the disk, it is all the same what the disk is.
FEW = pytest.mark.parametrize("life", ["two"], indirect=True)


@pytest.fixture(params=KINDS)
def life(request, tmp_path):
    return Life(tmp_path, *KINDS[request.param])


def test_commit(life, tmp_path, request):
    seen = set()

    def check(folder):
        paths = paths_in(folder, life.names)
        found = pending.found(ACCESS, paths)
        state = found.mark.state if found else None
        seen.add(state)
        if state == COMMITTING:
            for name in life.names:
                with pytest.raises(InvalidRequest, match="a part of its transaction only"):
                    ACCESS.open(str(folder / name)).close()
            commit(folder, life.names)
        elif state == PENDING:
            assert contents(folder, life.names) == life.before
            commit(folder, life.names)
        elif state == OVER:
            ending.forget(found.mark)
        assert contents(folder, life.names) == life.after
        life.require_clean(folder)

    replay(life.pending, lambda folder: commit(folder, life.names), check, tmp_path,
           request.node.name)  # fmt: skip
    assert seen == {PENDING, COMMITTING, OVER, None}


@FEW
def test_discard(life, tmp_path, request):
    def check(folder):
        assert contents(folder, life.names) == life.before
        found = pending.found(ACCESS, paths_in(folder, life.names))
        if found is not None:
            ending.discard(found.mark)
        life.require_clean(folder)

    replay(life.pending, lambda folder: discard(folder, life.names), check, tmp_path,
           request.node.name)  # fmt: skip


@FEW
def test_writing(life, tmp_path, request):
    """What a crash leaves of the writing is not committed unseen."""
    discard(life.pending, life.names)

    def check(folder):
        assert contents(folder, life.names) == life.before
        found = pending.found(ACCESS, paths_in(folder, life.names))
        if found is not None:
            try:
                ending.check_commit(ACCESS, found)
            except InvalidRequest as error:
                assert "was not closed in order" in str(error)
        write(folder, life.names)
        commit(folder, life.names)
        assert contents(folder, life.names) == life.after
        life.require_clean(folder)

    replay(life.pending, lambda folder: write(folder, life.names), check, tmp_path,
           request.node.name)  # fmt: skip


def test_disk_restored_within_a_commit_is_let_be(tmp_path):
    raw(tmp_path)
    write(tmp_path, [RAW])
    mark = pending.found(ACCESS, paths_in(tmp_path, [RAW])).mark
    with RawDevice.open(tmp_path / RAW) as disk:
        overlay = ending.settled(mark.members[0].overlay, disk.size, mark.members[0].identity)
        ending.record(disk, overlay, mark.members[0].overlay)
        overlay.close()
    mark.changed_to(COMMITTING)
    (tmp_path / RAW).write_bytes(b"\x33" * (4 * GRAIN + 700))
    with pytest.raises(CorruptDisk, match="was changed by somebody else while"):
        commit(tmp_path, [RAW])
    assert (tmp_path / RAW).read_bytes() == b"\x33" * (4 * GRAIN + 700)
