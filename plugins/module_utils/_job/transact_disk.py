# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Transactions over disks that are mounted: begun, looked at, committed, discarded."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from .._device.errors import DiskError, InvalidRequest, MountFailed
from .._device.progress import Silent
from .._device.transaction_mark import COMMITTING, OVER, PENDING, refuse_writing
from .._device.transaction_overlay import refuse_failed
from .._guest import session
from .._guest.request import HOST, VOLUME
from .._transport.claims import claim_name
from .plan import Plan, nothing_to_do
from .transaction import ending, look, pending

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._device.progress import Progress
    from .._guest.session import MountState
    from .access import Access
    from .plan import Result
    from .transaction.pending import Transaction


@dataclasses.dataclass(frozen=True)
class TransactJob:
    """The transaction of which disks shall end. paths: none says those mounted at mount_point."""

    access: Access
    mount_point: str
    paths: Sequence[str] = ()
    changes: bool = False
    diff: bool = False  # tell the changes if that can be done
    volume: str | None = None
    subvolume: str | None = None
    luks_key_file: str | None = None
    layout: str = VOLUME
    isolation: str = HOST
    progress: Progress = dataclasses.field(default_factory=Silent)


# What mounting asks


def begin(access: Access, paths: Sequence[str], overlay: str | None) -> Transaction:
    """Durable when it returns; one that is pending goes on. Raises DiskError, and nothing is
    changed then."""
    finish(access, paths)
    return pending.begin(access, paths, overlay)


@contextlib.contextmanager
def begun(access: Access, paths: Sequence[str], overlay: str | None) -> Iterator[Transaction]:
    """For a mount: one that begins with it, and fails, leaves nothing behind."""
    transaction = begin(access, paths, overlay)
    try:
        yield transaction
    except BaseException:
        if transaction.is_new:
            with contextlib.suppress(DiskError):  # what went wrong first is to be heard of
                ending.discard(transaction.mark)
        raise


def foresee(access: Access, paths: Sequence[str], overlay: str | None) -> Result:
    """What begin() would give, for results, and raises what it would raise."""
    return pending.require_beginnable(access, paths, overlay).as_dict()


def unfinished(access: Access, paths: Sequence[str]) -> bool:
    """Whether a killed run has left a commit or a discard in the middle."""
    mark = pending.mark_of(access, paths)
    return mark is not None and mark.state != PENDING


def finish(access: Access, paths: Sequence[str], progress: Progress | None = None) -> bool:
    """Finish that; False where there is none. Raises what a commit raises."""
    found = pending.found(access, paths) if unfinished(access, paths) else None
    if found is None:
        return False
    if found.mark.state == COMMITTING:
        ending.commit(access, found, progress or Silent())
    else:
        ending.forget(found.mark)
    return True


def require_free(access: Access, paths: Sequence[str]) -> None:
    """Raises InvalidRequest where a transaction forbids to write to one of these disks."""
    for path in paths:
        name = claim_name(access.parse(path))
        if name is not None:
            refuse_writing(name)


def changes_of(job: TransactJob) -> Result:
    """What the pending transaction changes in what is mounted, or would be."""
    state, transaction = _found(job)
    if transaction is None or transaction.mark.state != PENDING:
        raise InvalidRequest("there is no transaction of which to tell changes", path=_named(job))
    return look.changes(job.access, transaction, _wish(job, state), state)


# The two ends of it


def plan_committed(job: TransactJob) -> Plan:
    """Unmount it if it is mounted, and put what was written into the disks."""
    state, transaction = _found(job)
    if transaction is None or transaction.mark.state == OVER:
        return _nothing_pending(job, transaction)
    if state is None:
        ending.check_commit(job.access, transaction)
    for member in transaction.mark.members:
        refuse_failed(member.overlay)
    told = _changes(job, state, transaction)
    result = {"mount": None, "transaction": transaction.as_dict("committed"), **told}

    def apply() -> Result:
        session.unmount(job.mount_point)
        transfer = ending.commit(job.access, transaction, job.progress)
        return {**result, "transfer": transfer.as_dict()}

    after = {"mount": None, **told}
    after.pop("warnings", None)
    return Plan(_before(state, transaction), after, result, apply)


def plan_discarded(job: TransactJob) -> Plan:
    """Unmount it if it is mounted, and drop what was written."""
    state, transaction = _found(job)
    if transaction is None or transaction.mark.state == OVER:
        return _nothing_pending(job, transaction)
    ending.require_discardable(transaction.mark)
    if state is None:
        ending.check_discard(transaction.mark)
    result = {"mount": None, "transaction": transaction.as_dict("discarded")}

    def apply() -> Result:
        warnings = _unmount_anyway(job.mount_point)
        ending.discard(transaction.mark)
        return {**result, **({"warnings": warnings} if warnings else {})}

    return Plan(_before(state, transaction), {"mount": None}, result, apply)


def _found(job: TransactJob) -> tuple[MountState | None, Transaction | None]:
    """Raises InvalidRequest where something without a transaction is mounted there."""
    state = session.mounted(job.mount_point)
    if state is not None and not state.transaction:
        raise InvalidRequest(
            "what is mounted there has no transaction",
            path=job.mount_point,
            found=state.reference,
            hint="Unmount it (vmdk_mount with state: unmounted).",
        )
    mounted = () if state is None else state.paths
    paths = tuple(job.access.lasting(path) for path in job.paths) or mounted
    if state is not None and set(paths) != set(mounted):
        raise InvalidRequest(
            "another disk is mounted there",
            path=job.mount_point,
            found=", ".join(mounted),
            expected=", ".join(paths),
        )
    return state, pending.found(job.access, paths) if paths else None


def _nothing_pending(job: TransactJob, transaction: Transaction | None) -> Plan:
    """But what a killed run has left to remove."""
    result: Result = {"mount": None, "transaction": None}
    if transaction is None:
        return nothing_to_do({"mount": None}, result)
    mark = transaction.mark

    def apply() -> Result:
        ending.forget(mark)
        return result

    return Plan({"mount": None, "leftovers": mark.path}, {"mount": None}, result, apply)


def _changes(job: TransactJob, state: MountState | None, transaction: Transaction) -> Result:
    """A commit that was cut off has no before any more to compare with."""
    if not (job.changes or job.diff) or transaction.mark.state != PENDING:
        return {}
    try:
        return {"changes": look.changes(job.access, transaction, _wish(job, state), state)}
    except DiskError as error:
        if job.changes:
            raise
        return {"warnings": [f"what the transaction changes cannot be told: {error}"]}


def _wish(job: TransactJob, state: MountState | None) -> look.Wish:
    if state is None:
        return look.Wish(job.volume, job.subvolume, job.layout, job.luks_key_file, job.isolation)
    volume = state.volume or {}
    name = volume.get("number") or volume.get("name")
    wanted = job.volume if name is None else str(name)
    return look.Wish(wanted, state.subvolume, state.layout, job.luks_key_file, state.isolation)


def _before(state: MountState | None, transaction: Transaction) -> Result:
    return {
        "mount": None if state is None else state.mount_point,
        "transaction": transaction.as_dict(),
    }


def _unmount_anyway(mount_point: str) -> list[str]:
    """What was lost with writes that are to be lost is no reason to stop."""
    try:
        session.unmount(mount_point)
    except MountFailed as error:
        if session.mounted(mount_point) is not None:  # it could not be unmounted
            raise
        return [str(error)]
    return []


def _named(job: TransactJob) -> str:
    return job.paths[0] if job.paths else job.mount_point
