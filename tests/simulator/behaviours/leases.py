# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HttpNfcLease: a promise for a while; its holder says now and then that he is still there."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..handlers import handles, mode, reports
from ..images import Disk
from ..soap import Call, Fault, Reply, Xml, reply, tag
from .inner import carry_out
from .readers import Readers
from .stream import BrokenStream, StreamReader, write_stream

if TYPE_CHECKING:
    from ..server import Request
    from ..simulator import Simulator

mode("lease_timeout", 300.0)  # seconds without progress (vsphere.md 5)
mode("nfc_host", "")  # "*": the client has to put in the host it speaks to, as hosts themselves say
mode("nfc_thumbprint", "")  # the server's own where it is empty
mode("nfc_cut", 0)  # bytes of a disk after which the connection breaks
mode("nfc_junk", 0)  # bytes that are sent behind the end of a disk
mode("lease_fault", "")  # a lease ends with this fault instead of getting ready


@dataclasses.dataclass
class File:
    """One disk of a lease."""

    name: str
    place: str
    machine: str
    disk: Disk
    sha1: str = ""
    size: int = 0


class Lease:
    def __init__(self, simulator: Simulator, kind: str, entity: str, files: list[File]) -> None:
        self.simulator = simulator
        self.id = f"session[{uuid.uuid4()}]{uuid.uuid4()}"
        self.kind, self.entity, self.files = kind, entity, files
        self.state = "initializing"
        self.timeout = float(simulator.mode["lease_timeout"])
        self.deadline = time.monotonic() + self.timeout
        self.percent = 0
        self._lock = threading.RLock()

    def ready(self) -> None:
        if fault := self.simulator.mode["lease_fault"]:
            self.fail(Fault(fault, "The lease could not be had."))
            return
        readers = self.simulator.part(Readers).reading
        readers[f"lease {self.id}"] = {
            layer.path for file in self.files for layer in file.disk.layers
        }
        with self._lock:
            self.alive()
            self._become("ready", info=self._info())
        threading.Thread(target=self._watch, daemon=True).start()

    def alive(self) -> None:
        self.deadline = time.monotonic() + self.timeout

    def done(self) -> None:
        self._end("done")

    def fail(self, fault: Fault) -> None:
        self._end("error", error=fault.localized("val"))

    def _end(self, state: str, **more: Xml) -> None:
        with self._lock:
            if self.state in ("done", "error"):
                return
            self._become(state, **more)
        self.simulator.part(Readers).reading.pop(f"lease {self.id}", None)
        if state == "error" and self.kind == "import" and self.entity:
            carry_out(self.simulator, "Destroy_Task", "VirtualMachine", self.entity)

    def _become(self, state: str, **more: Xml) -> None:
        self.state = state
        changes = {"state": tag("val", state, xsi="HttpNfcLeaseState"), **more}
        self.simulator.upstream.set("HttpNfcLease", self.id, changes)

    def _watch(self) -> None:
        while self.state == "ready":
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.fail(Fault("Timedout", "The lease has timed out."))
                return
            time.sleep(min(left, 0.2))

    def _info(self) -> Xml:
        address, port = self.simulator.address
        host = self.simulator.mode["nfc_host"] or address
        urls = [
            tag(
                "deviceUrl",
                tag("key", f"/{self.entity}/{file.place}"),
                tag("importKey", f"/{file.machine}/{file.place}"),
                tag("url", f"https://{host}:{port}/nfc/{self.token}/{file.name}"),
                tag(
                    "sslThumbprint",
                    self.simulator.mode["nfc_thumbprint"] or _thumbprint(address, port),
                ),
                tag("disk", True),
                tag("targetId", file.name),
            )
            for file in self.files
        ]
        return tag(
            "val",
            tag("lease", self.id, type="HttpNfcLease"),
            tag("entity", self.entity, type="VirtualMachine"),
            *urls,
            tag("totalDiskCapacityInKB", sum(file.disk.size for file in self.files) // 1024),
            tag("leaseTimeout", int(self.timeout)),
            xsi="HttpNfcLeaseInfo",
        )

    @property
    def token(self) -> str:
        """Who knows it may read: there is no other authentication on these addresses."""
        return self.id.rpartition("]")[2]


@functools.cache
def _thumbprint(host: str, port: int) -> str:
    """SHA-1 of the certificate, as vCenter tells it."""
    shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, port)))
    digits = hashlib.sha1(shown).hexdigest().upper()
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


class Leases:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.leases: dict[str, Lease] = {}

    def begin(self, kind: str, entity: str, files: list[File]) -> Lease:
        lease = Lease(self._simulator, kind, entity, files)
        self._simulator.upstream.new_lease(lease.id)
        self.leases[lease.id] = lease
        return lease

    def of_token(self, token: str) -> Lease | None:
        return next((each for each in self.leases.values() if each.token == token), None)


def _lease(simulator: Simulator, call: Call) -> Lease:
    lease = simulator.part(Leases).leases.get(call.id)
    if lease is None:
        what = tag("obj", call.id, type=call.type)
        message = "The object has already been deleted or has not been completely created"
        raise Fault("ManagedObjectNotFound", message, what)
    if lease.state != "ready":
        raise Fault("InvalidState", f"The lease is in state {lease.state}.")
    return lease


@handles("HttpNfcLeaseProgress")
def progress(simulator: Simulator, call: Call) -> Reply:
    lease = _lease(simulator, call)
    lease.alive()
    lease.percent = int(call.text("percent", "0"))
    percent = tag("val", lease.percent, xsi="xsd:int")
    simulator.upstream.set("HttpNfcLease", lease.id, {"transferProgress": percent})
    return reply(call)


@handles("HttpNfcLeaseComplete")
def complete(simulator: Simulator, call: Call) -> Reply:
    _lease(simulator, call).done()
    return reply(call)


@handles("HttpNfcLeaseAbort")
def abort(simulator: Simulator, call: Call) -> Reply:
    _lease(simulator, call).fail(Fault("RequestCanceled", "The lease was aborted by the client."))
    return reply(call)


@handles("HttpNfcLeaseGetManifest")
def manifest(simulator: Simulator, call: Call) -> Reply:
    lease = _lease(simulator, call)
    entries = [
        tag(
            "returnval",
            tag("key", f"/{lease.entity}/{file.place}"),
            tag("sha1", file.sha1),
            tag("size", file.size),
            tag("disk", True),
            tag("capacity", file.disk.size),
        )
        for file in lease.files
        if file.sha1
    ]
    return reply(call, *entries)


@handles("HttpNfcLeaseSetManifestChecksumType")
def checksum_type(simulator: Simulator, call: Call) -> Reply:
    _lease(simulator, call)
    return reply(call)


@handles("GET /nfc", "PUT /nfc", "POST /nfc")
def transfer(simulator: Simulator, request: Request) -> None:
    _empty, _nfc, token, name = [*request.url_path.split("/"), "", "", ""][:4]
    lease = simulator.part(Leases).of_token(token)
    file = next((each for each in lease.files if each.name == name), None) if lease else None
    if lease is None or file is None or lease.state != "ready":
        request.close_connection = True
        request.send(404, b"no such lease")
    elif request.command == "GET":
        pieces = write_stream(file.disk.read, file.disk.size, file.name)
        headers = {"Content-Type": "application/x-vnd.vmware-streamVmdk"}
        request.stream(200, _counted(lease, file, pieces), None, headers)
    else:
        _take(lease, file, request)


def _counted(lease: Lease, file: File, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Ends in the middle when the lease does."""
    digest, size = hashlib.sha1(), 0
    cut = lease.simulator.mode["nfc_cut"]
    junk = b"!" * lease.simulator.mode["nfc_junk"]
    for piece in itertools.chain(pieces, [junk]):
        if lease.state != "ready":
            raise ConnectionError(f"the lease is {lease.state}")
        if cut and size + len(piece) > cut:
            if cut > size:
                yield piece[: cut - size]
            raise ConnectionError("cut, as the mode says")
        if piece:
            digest.update(piece)
            size += len(piece)
            yield piece
    file.sha1, file.size = digest.hexdigest(), size


def _take(lease: Lease, file: File, request: Request) -> None:
    digest = hashlib.sha1()
    counter = [0]

    def seen(data: bytes) -> bytes:
        digest.update(data)
        counter[0] += len(data)
        return data

    source = _Pieces(iter(request.read_chunks()), seen)
    try:
        for offset, data in StreamReader(source.read).grains():
            if lease.state != "ready":
                raise ConnectionError(f"the lease is {lease.state}")
            file.disk.write(offset, data)
        source.rest()
    except (BrokenStream, ValueError) as error:
        lease.fail(Fault("SystemError", str(error)))
        request.close_connection = True
        request.send(500, str(error).encode())
        return
    file.sha1, file.size = digest.hexdigest(), counter[0]
    request.send(200)


class _Pieces:
    """An upload's pieces as something to read from."""

    def __init__(self, pieces: Iterator[bytes], seen: Callable[[bytes], bytes]) -> None:
        self._pieces, self._seen, self._left = pieces, seen, b""

    def read(self, length: int) -> bytes:
        if not self._left:
            self._left = self._seen(next(self._pieces, b""))
        data, self._left = self._left[:length], self._left[length:]
        return data

    def rest(self) -> None:
        for piece in self._pieces:
            self._seen(piece)


@reports("leases")
def count(simulator: Simulator) -> list[str]:
    """Those that are still open."""
    known = simulator.part(Leases).leases.values()
    return [each.id for each in known if each.state in ("initializing", "ready")]
