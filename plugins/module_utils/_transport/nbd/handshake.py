# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The client's side of the handshake: from a fresh connection to a chosen export."""

from __future__ import annotations

import dataclasses
import socket
import struct
import typing as t

from ..._device.errors import (
    AccessDenied,
    DiskError,
    DiskNotFound,
    ServerUnreachable,
    UnsupportedDisk,
)
from . import protocol as p
from .wire import ConnectionLost, Wire

if t.TYPE_CHECKING:
    from .address import Address

CONNECT_SECONDS = 30.0
_LONGEST_REPLY = 64 << 10  # bytes
_MOST_NAMES = 20  # as many as a message can bear


@dataclasses.dataclass(frozen=True)
class Export:
    """What the server told of the export that was chosen. Sizes in bytes."""

    size: int
    flags: int
    minimum: int = 1  # requests begin and end at multiples of it
    maximum: int = p.DEFAULT_MAXIMUM  # of one read or write
    is_structured: bool = False
    allocation: int | None = None  # the number of base:allocation, where block status is to be had

    def can(self, flag: int) -> bool:
        return bool(self.flags & flag)


def connect(address: Address, seconds: float = CONNECT_SECONDS) -> tuple[Wire, Export]:
    """Raises ServerUnreachable, UntrustedCertificate, DiskNotFound, AccessDenied, …"""
    wire = Wire(_dial(address, seconds), address.uri, seconds)
    try:
        return wire, _Handshake(wire, address).run()
    except BaseException:
        wire.close()
        raise


def _dial(address: Address, seconds: float) -> socket.socket:
    try:
        if address.host is not None:
            return socket.create_connection((address.host, address.port), seconds)
        dialled = socket.socket(socket.AF_UNIX)
        try:
            dialled.settimeout(seconds)
            dialled.connect(address.socket or "")
        except BaseException:
            dialled.close()
            raise
        return dialled
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConnectionLost(
            f"no NBD server answers at {address.server}: {reason}",
            path=address.uri,
            hint="Check that it is running, and that no firewall is in between.",
        ) from error


class _Handshake:
    def __init__(self, wire: Wire, address: Address) -> None:
        self.wire = wire
        self.address = address
        self.export = address.export.encode()

    def run(self) -> Export:
        no_zeroes = self._greet()
        self._secure()
        is_structured = self._ask(p.OPT_STRUCTURED_REPLY)[-1][0] == p.REP_ACK
        allocation = self._allocation() if is_structured else None
        found = self._go() or self._old_way(no_zeroes)
        return dataclasses.replace(found, is_structured=is_structured, allocation=allocation)

    def _greet(self) -> bool:
        """Whether the server can leave out 124 bytes that mean nothing."""
        magic, options, flags = p.GREETING.unpack(self.wire.receive(p.GREETING.size))
        if magic != p.MAGIC or options not in (p.OPTION_MAGIC, p.OLD_MAGIC):
            raise ServerUnreachable("this is no NBD server", path=self.address.uri)
        if options == p.OLD_MAGIC or not flags & p.FIXED_NEWSTYLE:
            raise UnsupportedDisk("the NBD server is too old", path=self.address.uri)
        agreed = flags & (p.FIXED_NEWSTYLE | p.NO_ZEROES)
        self.wire.send(struct.pack(">I", agreed))
        return bool(agreed & p.NO_ZEROES)

    def _secure(self) -> None:
        trust = self.address.trust
        if trust is None:
            return
        kind, data = self._ask(p.OPT_STARTTLS)[-1]
        if kind != p.REP_ACK:
            raise ServerUnreachable(
                f"the NBD server offers no TLS{_said(data)}",
                path=self.address.uri,
                hint="Write nbd:// where a connection that anybody on the way can read will do.",
            )
        # Imported here: plain disks need no TLS, and need not wait for it to be loaded.
        from . import tls

        tls.start(self.wire, self.address, trust)

    def _allocation(self) -> int | None:
        query = p.named(self.export) + struct.pack(">I", 1) + p.named(p.ALLOCATION)
        for kind, data in self._ask(p.OPT_SET_META_CONTEXT, query):
            if kind == p.REP_META_CONTEXT and data[4:] == p.ALLOCATION:
                return int.from_bytes(data[:4], "big")
        return None  # refused, or unknown to it

    def _go(self) -> Export | None:
        """None from a server that does not know the option."""
        wanted = struct.pack(">HH", 1, p.INFO_BLOCK_SIZE)
        replies = self._ask(p.OPT_GO, p.named(self.export) + wanted)
        kind, data = replies[-1]
        if kind == p.ERR_UNSUP:
            return None
        if kind != p.REP_ACK:
            raise self._refused(kind, data)
        export = Export(-1, 0)
        for info in (data for kind, data in replies if kind == p.REP_INFO):
            export = self._learn(export, info)
        if export.size < 0:
            raise self._nonsense("the size of the export", "nothing")
        return export

    def _learn(self, export: Export, info: bytes) -> Export:
        kind = int.from_bytes(info[:2], "big")
        if kind == p.INFO_EXPORT and len(info) == p.EXPORT_INFO.size:
            size, flags = p.EXPORT_INFO.unpack(info)[1:]
            return dataclasses.replace(export, size=size, flags=flags)
        if kind == p.INFO_BLOCK_SIZE and len(info) == p.BLOCK_SIZE_INFO.size:
            minimum, _preferred, maximum = p.BLOCK_SIZE_INFO.unpack(info)[1:]
            if not 0 < minimum <= 1 << 16 or minimum & (minimum - 1) or maximum < minimum:
                raise self._nonsense("block sizes", f"{minimum} to {maximum}")
            largest = min(maximum, p.DEFAULT_MAXIMUM) // minimum * minimum
            return dataclasses.replace(export, minimum=minimum, maximum=largest)
        return export

    def _old_way(self, no_zeroes: bool) -> Export:
        """The server hangs up where it does not know the export."""
        name = self.export
        self.wire.send(p.OPTION.pack(p.OPTION_MAGIC, p.OPT_EXPORT_NAME, len(name)) + name)
        try:
            size, flags = p.EXPORT_REPLY.unpack(self.wire.receive(p.EXPORT_REPLY.size))
            self.wire.receive(0 if no_zeroes else 124)
        except ConnectionLost:
            raise self._unknown() from None
        return Export(size, flags)

    def _refused(self, kind: int, data: bytes) -> DiskError:
        if kind == p.ERR_UNKNOWN:
            return self._unknown(self._exports())
        if kind == p.ERR_TLS_REQD:
            return AccessDenied(
                "the NBD server speaks TLS only",
                path=self.address.uri,
                hint="Write nbds:// instead of nbd://.",
            )
        if kind == p.ERR_POLICY:
            return AccessDenied(f"the NBD server refuses us{_said(data)}", path=self.address.uri)
        number = kind & ~p.REP_ERROR
        return ServerUnreachable(
            f"the NBD server refuses the export (error {number}){_said(data)}",
            path=self.address.uri,
        )

    def _unknown(self, names: list[str] | None = None) -> DiskNotFound:
        offered = ", ".join(repr(name) for name in (names or [])[:_MOST_NAMES])
        return DiskNotFound(
            f"the NBD server at {self.address.server} has no export {self.address.export!r}",
            path=self.address.uri,
            hint=f"It offers: {offered}." if offered else "It does not tell which it has.",
        )

    def _exports(self) -> list[str]:
        """The names that the server offers, as far as it tells."""
        try:
            listed = [data for kind, data in self._ask(p.OPT_LIST) if kind == p.REP_SERVER]
        except DiskError:
            return []
        names = (data[4 : 4 + int.from_bytes(data[:4], "big")] for data in listed)
        return [name.decode(errors="replace") for name in names]

    def _ask(self, option: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        """All replies to an option; the last one says how it went."""
        self.wire.send(p.OPTION.pack(p.OPTION_MAGIC, option, len(data)) + data)
        replies = []
        while True:
            magic, of, kind, length = p.OPTION_REPLY.unpack(self.wire.receive(p.OPTION_REPLY.size))
            if magic != p.REPLY_MAGIC or of != option or length > _LONGEST_REPLY:
                raise self._nonsense(f"a reply to option {option}", f"{magic:#x} to option {of}")
            replies.append((kind, self.wire.receive(length)))
            if kind == p.REP_ACK or kind & p.REP_ERROR:
                return replies
            if len(replies) > _LONGEST_REPLY:
                raise self._nonsense("an end of the list", f"{len(replies)} replies")

    def _nonsense(self, expected: str, found: str) -> ServerUnreachable:
        return ServerUnreachable(
            "the NBD server breaks the protocol",
            path=self.address.uri,
            found=found,
            expected=expected,
        )


def _said(data: bytes) -> str:
    text = data.decode(errors="replace").strip()
    return f": {text}" if text else ""
