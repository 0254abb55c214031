# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The end of a transaction: committed or discarded, and finishing what a killed one has left.

A commit is decided by one rename, that of the leader's mark: before it every disk is as it was,
after it every disk will be as the transaction has it. What is in between is readable by nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from ..._device.errors import (
    CorruptDisk,
    DiskInUse,
    DiskNotFound,
    InvalidRequest,
    from_oserror,
)
from ..._device.files import File
from ..._device.transaction_mark import COMMITTING, OVER, PENDING, going_on_with
from ..._device.transaction_overlay import remove_overlay, settled
from ..._device.transfer import Transfer
from ..._vmdk.files.lock import lock
from ..kept_disk import open_kept
from .before import record, require_known
from .identity import require_same
from .merge import merge, require_room
from .pending import owner_of, state_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import BlockDevice
    from ..._device.kept_overlay import KeptOverlay
    from ..._device.progress import Progress
    from ..._device.transaction_mark import Mark, Member
    from ..access import Access
    from .pending import Transaction


_FORGET_SECONDS = 10


class _Opened(t.NamedTuple):
    member: Member
    disk: BlockDevice
    overlay: KeptOverlay


def commit(access: Access, transaction: Transaction, progress: Progress) -> Transfer:
    """Put it into its disks, or finish that. Raises, while nothing is changed: DiskInUse,
    CorruptDisk, InvalidRequest, NoSpace."""
    mark = transaction.mark
    with going_on_with(mark), contextlib.ExitStack() as opened:
        disks = _open_all(access, transaction, opened)
        transfer = Transfer(bytes_total=sum(_length(one.overlay) for one in disks))
        if mark.state == PENDING:
            mark.save_followers()  # a killed begin() may have left them out
            for one in disks:
                record(one.disk, one.overlay, one.member.overlay)
            mark = mark.changed_to(COMMITTING)
        progress.start(os.path.basename(disks[0].member.disk), transfer.bytes_total)
        for one in disks:
            merge(one.overlay, one.disk, transfer, progress)
            one.disk.close()
        progress.finish()
        forget(mark.changed_to(OVER))
    return transfer.finish()


def check_commit(access: Access, transaction: Transaction) -> None:
    """Raises what commit() would raise before it changes anything."""
    with going_on_with(transaction.mark), contextlib.ExitStack() as opened:
        _open_all(access, transaction, opened)


def _open_all(
    access: Access, transaction: Transaction, opened: contextlib.ExitStack
) -> list[_Opened]:
    """Every disk, locked for writing, with what it gets."""
    mark, found = transaction.mark, []
    with mark.current():
        if mark.state == COMMITTING:  # then nobody has named all of them
            mark.require_all()
        for path, member in zip(transaction.paths, mark.members, strict=True):
            disk = open_kept(access, path, writable=True)
            opened.callback(disk.close)
            overlay = _settled(mark, member, disk.size)
            opened.callback(overlay.close)
            _require_fit(mark, member, disk, overlay)
            found.append(_Opened(member, disk, overlay))
    mark.require_current()
    return found


def _require_fit(mark: Mark, member: Member, disk: BlockDevice, overlay: KeptOverlay) -> None:
    """Raises CorruptDisk where it is not the disk that was written to, NoSpace."""
    if mark.state == PENDING:
        require_same(disk, state_of(member), member.disk)
    else:
        require_known(disk, overlay, member.overlay, member.disk, mark.path)
    require_room(overlay, disk, os.path.dirname(member.disk))


def _settled(mark: Mark, member: Member, size: int) -> KeptOverlay:
    try:
        return settled(member.overlay, size, member.identity)
    except CorruptDisk as error:
        if mark.state == PENDING:
            raise
        raise CorruptDisk(
            "the overlay is damaged, so the commit that was cut off cannot be finished",
            path=member.overlay,
            offset=error.offset,
            found=error.found,
            hint=f"Bring its files back. If they are lost, remove {mark.path}, and then restore "
            f"{member.disk}, which holds a part of the transaction.",
        ) from error


def _length(overlay: KeptOverlay) -> int:
    return sum(run.length for run in overlay.written_runs())


def discard(mark: Mark) -> None:
    """Drop what was written. Raises DiskInUse where it is mounted, InvalidRequest for one that
    is being committed."""
    require_discardable(mark)
    with _held(mark):
        forget(mark.changed_to(OVER))


def check_discard(mark: Mark) -> None:
    """Raises what discard() would raise before it changes anything."""
    require_discardable(mark)
    with _held(mark):
        pass


def require_discardable(mark: Mark) -> None:
    """Raises InvalidRequest, whether it is mounted or not."""
    if mark.state == COMMITTING:
        raise InvalidRequest(
            "its commit has begun, and a part of it is in the disk already",
            path=mark.members[0].disk,
            hint="Finish it: vmdk_mount with this disk and state: committed.",
        )


@contextlib.contextmanager
def _held(mark: Mark) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        with mark.current():
            for member in mark.members:
                _hold(member.overlay, held)
        mark.require_current()
        yield


def _hold(path: str, held: contextlib.ExitStack) -> None:
    """Nobody writes to it any more; one that is gone, or damaged, is nobody's."""
    if not os.path.isfile(path) or os.path.islink(path):
        return
    file = held.enter_context(File(path, writable=True))  # NFS wants that for such a lock
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        hint = "Unmount it first (vmdk_mount with state: unmounted)."
        raise DiskInUse("another process writes to this overlay", path=path, hint=hint) from None
    except OSError as error:
        raise from_oserror(error, "lock it", path) from error


def forget(mark: Mark) -> None:
    """Remove the overlays, and then the marks, of a transaction that is over. Raises DiskInUse.

    One run does that alone: the files of the next transaction have the same names.
    """
    with _alone(mark) as is_there:
        if not is_there:
            return  # another run was faster
        for member in mark.members:
            if mark.has(member) and _is_its_own(member):
                remove_overlay(member.overlay, member.identity)
        mark.remove()


@contextlib.contextmanager
def _alone(mark: Mark) -> Iterator[bool]:
    """Whether the mark is still there, under a lock on it."""
    try:
        file = File(mark.path, writable=True)  # NFS wants that for such a lock
    except DiskNotFound:
        yield False
        return
    with file:
        try:
            lock(file, exclusive=True, seconds=_FORGET_SECONDS)
        except DiskInUse:
            hint = "Wait until that job has ended, and run this again."
            raise DiskInUse(
                "another run removes this transaction", path=mark.path, hint=hint
            ) from None
        yield mark.has(mark.members[0])


def _is_its_own(member: Member) -> bool:
    """A copy of a folder with a disk and its mark names the overlay of the first one, where that
    lies elsewhere. Then it stays, as it does where the folder has moved."""
    beside = os.path.dirname(member.overlay) == os.path.dirname(member.place)
    return beside or member.identity.startswith(f"{owner_of(member.place)} ")
