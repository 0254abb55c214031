# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One disk of an export: a streamOptimized VMDK, parsed as it comes."""

from __future__ import annotations

import contextlib
import http.client
import io
import typing as t

from ..._device.errors import CorruptDisk, DiskError, DiskInUse, TransportUnavailable
from ..._vmdk.stream.sequential import sequential_stream
from .forward import ForwardDevice
from .link import BROKEN

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from ..._vsphere.connection.wire import Connection
    from ..frozen import FrozenDisk
    from .forward import Pieces
    from .lease import Lease
    from .link import Link

_AT_ONCE = 1 << 20
_PADDING = 1 << 20  # zeros that may follow the end mark


class NfcDevice(ForwardDevice):
    """A disk of an export lease. Nothing is asked for before the first read."""

    is_sequential = True

    def __init__(self, session: Session, lease: Lease, link: Link, disk: FrozenDisk) -> None:
        name = f"{disk.vm_name} {disk.name}"
        super().__init__(name, disk.size, _download(session, lease, link, name, disk.size))

    def require_unchanged(self) -> None:
        """vSphere keeps the disk as it is for as long as it sends it; but was that all of it?

        Raises DiskInUse.
        """
        if not self.has_ended:
            raise DiskInUse("was not read to its end, so it may be damaged", path=self.name)


def _download(session: Session, lease: Lease, link: Link, name: str, size: int) -> Pieces:
    with contextlib.closing(link.connect()) as connection:
        try:
            stream = _stream(session, connection, link, name)
            source = sequential_stream(stream, name)
            _check_size(name, source.size, size)
            for offset, data in source:
                lease.tell(link.slot, offset)
                yield offset, data
            _check_end(stream, name)
            lease.tell(link.slot, size)
        except DiskError as error:
            raise lease.explain(error) from error
        except BROKEN as error:
            raise lease.explain(link.broken(error)) from error


def _stream(session: Session, connection: Connection, link: Link, name: str) -> io.BufferedReader:
    headers = {"Accept": "application/x-vnd.vmware-streamVmdk"}
    if link.at == session.vcenter:  # no other host gets to know our session
        headers["Cookie"] = session.cookie
    connection.request("GET", link.path, headers=headers)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise TransportUnavailable(
            f"cannot download it: the host {link.at.hostname} says {answer.status} {answer.reason}",
            path=name,
            hint="Try again; look at the host's state in vCenter if it stays so.",
        )
    return io.BufferedReader(t.cast("io.RawIOBase", answer), _AT_ONCE)


def _check_size(name: str, found: int, expected: int) -> None:
    if found != expected:
        raise CorruptDisk(
            "the host sends a disk of another size: it may be another disk",
            path=name,
            found=f"{found} bytes",
            expected=f"{expected} bytes",
        )


def _check_end(stream: io.BufferedReader, name: str) -> None:
    rest = stream.read(_PADDING + 1)
    if len(rest) > _PADDING or rest.count(0) != len(rest):
        raise CorruptDisk(
            "the host goes on sending behind the end of the disk",
            path=name,
            hint="What came is not to be trusted. Try again, or use another transport.",
        )
