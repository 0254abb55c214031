# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk served over NBD, and no more."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import typing as t

from .._device.errors import DiskInUse, DiskIOError, InvalidRequest
from .._device.overlay import Overlay
from .._transport.nbd.address import Address, Trust, make_uri
from .._transport.nbd.server import check_free
from .._transport.reference import Road
from .export_server import ExportServer, server_tls
from .export_state import ExportFolder, Journal
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .served import start, stop

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .._device.device import BlockDevice
    from .access import Access


@dataclasses.dataclass(frozen=True)
class ExportPlace:
    """Where clients find it: a Unix socket, or an address and a port."""

    socket: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None

    def address(self, name: str = "", *, tls: bool = False) -> Address:
        """Raises InvalidRequest."""
        if self.port is not None and not 0 < self.port < 1 << 16:
            raise InvalidRequest(f"{self.port} is no port", expected="1 to 65535")
        trust = Trust() if tls else None
        if self.socket is not None:
            return Address("", name, socket=os.path.abspath(self.socket), trust=trust)
        return Address("", name, host=self.host, port=self.port or 0, trust=trust)


@dataclasses.dataclass(frozen=True)
class ExportJob:
    """Which disk shall be served where, and how."""

    path: str
    place: ExportPlace
    access: Access
    read_only: bool = True
    name: str = ""
    tls_certificates: str | None = None
    tls_verify_clients: bool = False

    @property
    def address(self) -> Address:
        return self.place.address(self.name, tls=self.tls_certificates is not None)


def plan_started(job: ExportJob) -> Plan:
    """Serve it, unless it is served."""
    address = job.address
    wanted = _journal(job, address)
    server_tls(wanted)
    folder = ExportFolder.of(wanted.place)
    there = folder.load()
    if there is not None and there.is_alive:
        _require_same(there, wanted)
        facts = _facts(job, address, there)
        return nothing_to_do(facts, {"export": facts, "disk": there.disk})
    if there is None:
        check_free(address)
    wanted.disk = _look(job, wanted)
    facts = _facts(job, address, wanted)

    def apply() -> Result:
        server = ExportServer(_opener(job, wanted), address, wanted, folder)
        started, lost = start(folder, wanted, server, lambda: check_free(address), _require_same)
        warnings = [text for text in (lost, _exposed(job, address)) if text]
        done: Result = {"export": _facts(job, address, started), "disk": started.disk}
        return {**done, **({"warnings": warnings} if warnings else {})}

    return Plan({"export": None}, {"export": facts}, {"export": facts, "disk": wanted.disk}, apply)


def plan_stopped(place: ExportPlace) -> Plan:
    """Stop what we serve there, dead or alive. Users are not waited for."""
    folder = ExportFolder.of(place.address().server)
    there = folder.load()
    if there is None:
        return nothing_to_do({"export": None}, {})

    def apply() -> Result:
        with folder.locked():
            journal = folder.load()
            lost = None if journal is None else stop(folder, journal)
        if lost:
            raise DiskIOError(f"it is not served any more, but {lost}", path=there.place)
        return {}

    before: Result = {"export": {"path": there.reference, "place": there.place}}
    return Plan(before=before, after={"export": None}, result={}, apply=apply)


def _journal(job: ExportJob, address: Address) -> Journal:
    certificates = job.tls_certificates
    return Journal(
        place=address.server,
        reference=job.access.lasting(job.path),
        read_only=job.read_only,
        name=job.name,
        tls_certificates=None if certificates is None else os.path.abspath(certificates),
        tls_verify_clients=job.tls_verify_clients,
        socket=address.socket,
    )


def _require_same(there: Journal, wanted: Journal) -> None:
    if not there.is_same(wanted):
        raise DiskInUse(
            "something else is served there",
            path=there.place,
            found=f"{there.reference}, {'read-only' if there.read_only else 'writable'}",
            expected=f"{wanted.reference}, {'read-only' if wanted.read_only else 'writable'}",
            hint="Stop that first (state: stopped), or choose another socket or port.",
        )


def _look(job: ExportJob, wanted: Journal) -> Result:
    """What would be served. Raises what opening it does."""
    with job.access.open(wanted.reference) as disk:
        facts = inspect(disk)
    if not job.read_only and not _is_point(job, wanted):
        with job.access.open(wanted.reference, writable=True):
            pass  # whatever forbids it is told now, in check mode too
    return facts


def _is_point(job: ExportJob, wanted: Journal) -> bool:
    return job.access.parse(wanted.reference).road is Road.RESTORE_POINT


def _opener(job: ExportJob, wanted: Journal) -> Callable[[], BlockDevice]:
    """Opens the disk in the process that serves it."""
    overlaid = not job.read_only and _is_point(job, wanted)

    def open_disk() -> BlockDevice:
        if overlaid:  # writes go beside it, and are forgotten
            return Overlay(job.access.open(wanted.reference))
        return job.access.open(wanted.reference, writable=not job.read_only)

    return open_disk


def _facts(job: ExportJob, address: Address, journal: Journal) -> Result:
    return {
        "uri": make_uri(address),
        "path": job.path,
        "name": job.name,
        "read_only": job.read_only,
        "socket": address.socket,
        "address": address.host,
        "port": None if address.host is None else address.port,
        "tls": address.trust is not None,
        "pid": journal.server.pid if journal.server and journal.complete else None,
    }


def _exposed(job: ExportJob, address: Address) -> str | None:
    """A warning where more than this host, or than known clients, can read the disk."""
    if address.host is None or job.tls_verify_clients:
        return None
    try:
        alone = ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        alone = address.host == "localhost"
    if alone:
        return None
    seen = "" if address.trust else ", and the network in between sees its content"
    return (
        f"everybody who reaches {address.server} can read this disk{seen}; tls_certificates with"
        " tls_verify_clients keeps it to those you know"
    )
