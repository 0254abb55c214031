# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk at the proxy, from before it is attached until it is certain that it is gone."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from ..._device.errors import AccessDenied, DiskError, DiskInUse, ObjectNotFound
from ..._vsphere.connection.errors import fault_name
from ..._vsphere.disks.attach import attach, detach
from ..._vsphere.machine.frozen import chain_of
from ..._vsphere.machine.machine import Attached, look_at
from ..._vsphere.snapshots.attached import ATTACH
from ..._vsphere.snapshots.journal import Entry, is_noted_by_the_living
from ..._vsphere.snapshots.removal import is_at_work, whereabouts

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._vsphere.connection.session import Session
    from ..._vsphere.machine.machine import Machine, ManagedFile
    from ..._vsphere.snapshots.journal import Journal

T = t.TypeVar("T")

# vCenter refuses a second change of a machine while one is under way.
AT_THE_PROXY = threading.RLock()
PATIENCE = 120.0  # seconds, where others change the proxy or vCenter is not to be had
SETTLING = 30.0  # seconds for a request whose answer was lost
PAUSE = 1.0
_BUSY = ("TaskInProgress", "ConcurrentAccess")
_HOPELESS = (AccessDenied, ObjectNotFound)


class Attachment:
    """One device of the proxy, made by us and taken away by us."""

    def __init__(
        self, session: Session, journal: Journal, proxy: Machine, file: ManagedFile, mode: str
    ) -> None:
        """Writes it down, and attaches it. Raises DiskError; then nothing is attached, or it is
        left to the sweep of a later run."""
        self._session, self._journal = session, journal
        self._vm, self._file, self._mode = proxy.ref, file, mode
        self._before = {disk.key for disk in proxy.disks}
        facts = self._facts(proxy)
        self._number = journal.note(ATTACH, **facts)
        self._entry = Entry(self._number, ATTACH, facts)
        try:
            self.device = _insist(self._attach, lambda error: fault_name(error) in _BUSY)
        except BaseException as error:
            self._withdraw(error)
            raise

    @property
    def size(self) -> int:
        """Bytes, as vSphere says."""
        return int(self.device.capacityInBytes or self.device.capacityInKB * 1024)

    def require_alone(self) -> None:
        """A job in another process may have attached a copy at the same moment, and the guest may
        show either of them under the uuid of both. Raises DiskInUse, DiskError."""
        for disk in look_at(self._session, self._vm).disks_with(str(self._file.uuid)):
            if disk.key != self.device.key:
                raise DiskInUse(
                    "another disk of the same uuid was attached to the proxy at the same moment",
                    path=self._file.path,
                    found=getattr(disk.backing, "fileName", None),
                    hint="A copy of a disk keeps its uuid. Back them up one after the other.",
                )

    def end(self) -> None:
        """Detach it, and strike it out once it is gone. Raises DiskError: the journal keeps it."""
        try:
            _insist(self._detach, lambda error: not isinstance(error, _HOPELESS))
        except DiskError as error:
            error.hint = " ".join(filter(None, (error.hint, "The next run goes on with that.")))
            raise
        self._journal.done(self._number)

    def _facts(self, proxy: Machine) -> dict[str, t.Any]:
        uuid = proxy.facts.get("config.instanceUuid")
        return {
            **whereabouts(self._session, proxy.ref, proxy.name, uuid),
            "path": self._file.path,
            "datastore": str(self._file.datastore._moId),
            "uuid": self._file.uuid,
            "mode": self._mode,
        }

    def _attach(self) -> t.Any:
        return attach(self._session, self._vm, self._file, mode=self._mode).device

    def _detach(self) -> None:
        """Unless it is gone. The key alone says nothing: vSphere gives it again."""
        ours = self._ours(lambda device: bool(device.key == self.device.key))
        for held in ours or self._as_redo_log():
            detach(self._session, self._vm, held, self._file.path)

    def _ours(self, is_meant: Callable[[t.Any], bool]) -> list[Attached]:
        """In the mode of ours; a nonpersistent disk may show as a redo log on top of it."""
        found = []
        for device in filter(is_meant, look_at(self._session, self._vm).disks):
            backing = device.backing
            is_it = self._file.is_behind(backing) or self._file.path in chain_of(backing)
            if is_it and getattr(backing, "diskMode", None) == self._mode:
                found.append(Attached(device, None))
        return found

    def _as_redo_log(self) -> list[Attached]:
        """Where a host shows the redo log alone, its uuid says what it is of."""
        alike = look_at(self._session, self._vm).disks_with(str(self._file.uuid))
        return [
            Attached(device, None)
            for device in alike
            if device.key == self.device.key
            and getattr(device.backing, "diskMode", None) == self._mode
        ]

    def _withdraw(self, error: BaseException) -> None:
        """What failed, or was not answered, may have been done all the same; or may be done later:
        only where vSphere itself refused it, it is certain that it will not."""
        with contextlib.suppress(DiskError):
            if fault_name(error) is None:
                self._let_changes_end()
            made = self._ours(lambda device: device.key not in self._before)
            if made and is_noted_by_the_living(self._journal.run, self._entry):
                made = []  # another job was faster, or will see to it
            for attached in made:
                detach(self._session, self._vm, attached, self._file.path)
            if made or fault_name(error) is not None:
                self._journal.done(self._number)

    def _let_changes_end(self) -> None:
        end = time.monotonic() + SETTLING
        while is_at_work(self._session, self._vm, "reconfig") and time.monotonic() < end:
            time.sleep(PAUSE)


def _insist(action: Callable[[], T], is_hopeful: Callable[[DiskError], bool]) -> T:
    """Again and again while there is hope. Others may be served in the pauses."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with AT_THE_PROXY:
                return action()
        except DiskError as error:
            if not is_hopeful(error) or time.monotonic() + PAUSE > end:
                raise
        time.sleep(PAUSE)
