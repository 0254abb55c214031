# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""An HttpNfcLease: vSphere's promise to send or take disks, for as long as we say that we live."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from ..._device.errors import DiskError, ServerUnreachable, VSphereFault
from ..._vsphere.connection.collect import properties
from ..._vsphere.connection.errors import from_fault
from ..._vsphere.snapshots.leases import LEASE
from .link import links_of

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from ..._vsphere.snapshots.journal import Journal
    from .link import Link

READY = 600.0  # seconds that vSphere may take before it sends or takes anything
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
BEAT = 30.0  # seconds; a lease of which nothing is heard ends after 300 (vsphere.md 5)
LAST_BEAT = 10.0  # seconds that the thread has to end
ALMOST = 99  # percent: the rest is said by complete()


class Lease:
    """Kept alive by a thread until complete() or abort(). `what` completes "cannot …".

    A lease has no name that we could give it, so it is in the journal from the moment when its id
    is known. One of a killed job ends by itself in five minutes.
    """

    def __init__(
        self, session: Session, journal: Journal, ref: t.Any, whereabouts: dict[str, str], what: str
    ) -> None:
        self._session, self._journal, self._ref = session, journal, ref
        self.what, self._name = what, whereabouts["vm_name"]
        self._number = journal.note(LEASE, lease=str(ref._moId), **whereabouts)
        self._stopping = threading.Event()
        self._done: dict[str, int] = {}  # by slot
        self._total = self._timeout = 0
        self._heard = time.monotonic()
        self._trouble: DiskError | None = None
        self.entity: t.Any = None
        self.links: list[Link] = []
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)

    def wait_ready(self) -> None:
        """Raises DiskError, after which it is to be aborted."""
        end, pause = time.monotonic() + READY, FIRST_PAUSE
        while True:
            found = properties(self._session, self._ref, ("state", "error", "info"))
            if found.get("state") == "ready" and "info" in found:
                return self._begin(found["info"])
            if (ended := self._ended(found)) is not None:
                raise ended
            if time.monotonic() > end:
                raise self._error(f"vSphere has not got ready for it in {READY:g} seconds")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _begin(self, info: t.Any) -> None:
        self.entity = info.entity
        self.links = links_of(self._session.vcenter, info)
        self._done = {link.slot: 0 for link in self.links}
        self._total = info.totalDiskCapacityInKB * 1024
        self._timeout = max(1, info.leaseTimeout)
        self._heard = time.monotonic()
        self._keeper.start()

    def tell(self, slot: str, done: int) -> None:
        """How far a disk is, in bytes. Raises DiskError once the lease has ended."""
        self._done[slot] = done
        if self._trouble is not None:
            raise self._trouble

    @property
    def is_dead(self) -> bool:
        """Whether it has ended without us."""
        return (self._trouble or self._look()) is not None

    def explain(self, error: DiskError) -> DiskError:
        """What a transfer that broke off suffered from: often the lease has ended."""
        return self._trouble or self._look() or error

    def complete(self) -> None:
        """Everything was sent. Raises DiskError."""
        self._stop()
        self._session.call(self._ref.HttpNfcLeaseComplete, self.what, self._name)
        self._journal.done(self._number)

    def abort(self) -> None:
        """Nothing more is wanted. What it was to make goes with it, and so does a dead one."""
        self._stop()
        try:
            self._session.call(self._ref.HttpNfcLeaseAbort, self.what, self._name)
        except ServerUnreachable:
            return  # it stays in the journal
        except DiskError:
            if self._look() is None:
                return
        self._journal.done(self._number)

    def end(self, *, whole: bool) -> None:
        """An export, whose data is here or not wanted any more: nothing can go wrong with it."""
        try:
            if whole:
                self.complete()
        except DiskError:
            whole = False
        if not whole:
            self.abort()

    def _stop(self) -> None:
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join(LAST_BEAT)

    # Staying alive

    def _keep_alive(self) -> None:
        while not self._stopping.wait(min(BEAT, self._timeout / 4)) and self._trouble is None:
            self._beat()

    def _beat(self) -> None:
        done = min(ALMOST, sum(self._done.values()) * 100 // max(1, self._total))
        try:
            self._session.call(lambda: self._ref.HttpNfcLeaseProgress(done), "keep a lease alive")
            self._heard = time.monotonic()
        except DiskError as error:
            if time.monotonic() - self._heard > self._timeout:
                self._trouble = error
            elif not isinstance(error, ServerUnreachable):
                self._trouble = self._look()

    def _look(self) -> DiskError | None:
        """Why the lease has ended; None while it lives, or nobody can tell."""
        try:
            return self._ended(properties(self._session, self._ref, ("state", "error")))
        except ServerUnreachable:
            return None
        except DiskError as error:
            return error

    def _ended(self, found: dict[str, t.Any]) -> DiskError | None:
        if found.get("state") == "error":
            fault = found.get("error")
            if fault is None:
                return self._error("vSphere does not say why")
            return from_fault(fault, self._session.vcenter, self.what, self._name)
        if found.get("state") == "done":
            return self._error("somebody else has ended it")
        return None

    def _error(self, reason: str) -> VSphereFault:
        return VSphereFault(
            f"cannot {self.what} at {self._session.vcenter.hostname}: {reason}",
            path=self._name,
            hint="Look at the tasks of the virtual machine in vCenter, and try again.",
        )


@contextlib.contextmanager
def begun(lease: Lease) -> t.Iterator[Lease]:
    """Ready. Aborted if the block fails; ended by whoever asked for it otherwise."""
    try:
        lease.wait_ready()
        yield lease
    except BaseException:
        lease.abort()
        raise
