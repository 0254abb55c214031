# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The server's side of the handshake: what clients are offered, and what they choose."""

from __future__ import annotations

import dataclasses
import ssl
import struct
import typing as t

from ..._device.sharedlock import SharedLock
from . import protocol as p
from .wire import ConnectionLost

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..._device.device import BlockDevice
    from .wire import Wire

LARGEST = p.DEFAULT_MAXIMUM  # bytes of one read or write
_PREFERRED = 64 << 10
_ALLOCATION_ID = 1
_LONGEST_OPTION = 64 << 10  # bytes
_MOST_OPTIONS = 1000


class Note(t.Protocol):
    def __call__(self, what: str, error: BaseException, *, write: bool) -> None:
        """Hears of what went wrong, from any thread."""


@dataclasses.dataclass(frozen=True)
class Offer:
    """A device under a name, which is also what clients get that ask for no name."""

    name: str
    device: BlockDevice
    read_only: bool
    note: Note
    tls: ssl.SSLContext | None = None  # given: clients must use it
    lock: SharedLock = dataclasses.field(default_factory=SharedLock)

    @property
    def flags(self) -> int:
        """One process serves all clients, so that each flush is one for all of them."""
        shared = p.HAS_FLAGS | p.SEND_FLUSH | p.SEND_FUA | p.SEND_DF | p.CAN_MULTI_CONN
        return shared | (p.READ_ONLY if self.read_only else p.SEND_TRIM | p.SEND_WRITE_ZEROES)


@dataclasses.dataclass(frozen=True)
class Agreed:
    """What requests look like from then on."""

    is_structured: bool
    allocation: int | None


class _Invalid(Exception):
    """An option whose data makes no sense."""


class Negotiation:
    """With one client."""

    def __init__(self, wire: Wire, offer: Offer) -> None:
        self.wire = wire
        self.offer = offer
        self._forget()

    def _forget(self) -> None:
        self._no_zeroes = self._is_structured = self._has_allocation = False

    def run(self) -> Agreed | None:
        """None where the client leaves, or talks nonsense. Raises ConnectionLost."""
        self.wire.send(p.GREETING.pack(p.MAGIC, p.OPTION_MAGIC, p.FIXED_NEWSTYLE | p.NO_ZEROES))
        flags = int.from_bytes(self.wire.receive(4), "big")
        if flags & ~(p.FIXED_NEWSTYLE | p.NO_ZEROES):
            return None
        self._no_zeroes = bool(flags & p.NO_ZEROES)
        for option, data in self._options():
            if option == p.OPT_EXPORT_NAME:
                return self._old_way(data)
            if self._answer(option, data):
                return self._agreed()
            if option == p.OPT_ABORT:
                return None
        return None

    def _options(self) -> Iterator[tuple[int, bytes]]:
        for _number in range(_MOST_OPTIONS):
            magic, option, length = p.OPTION.unpack(self.wire.receive(p.OPTION.size))
            if magic != p.OPTION_MAGIC or length > _LONGEST_OPTION:
                return
            yield option, self.wire.receive(length)

    def _agreed(self) -> Agreed:
        has_status = self._is_structured and self._has_allocation
        return Agreed(self._is_structured, _ALLOCATION_ID if has_status else None)

    @property
    def _lacks_tls(self) -> bool:
        return self.offer.tls is not None and not self.wire.is_secure

    def _old_way(self, name: bytes) -> Agreed | None:
        """An option that knows no errors: hanging up is the only one."""
        if self._lacks_tls or not self._is_known(name):
            return None
        facts = p.EXPORT_REPLY.pack(self.offer.device.size, self.offer.flags)
        self.wire.send(facts + (b"" if self._no_zeroes else bytes(124)))
        return self._agreed()

    def _answer(self, option: int, data: bytes) -> bool:
        """Whether that was the last option."""
        if self._lacks_tls and option not in (p.OPT_STARTTLS, p.OPT_ABORT):
            self._reply(option, p.ERR_TLS_REQD, b"this server speaks TLS only")
            return False
        try:
            return self._understand(option, data)
        except (_Invalid, struct.error):
            self._reply(option, p.ERR_INVALID)
            return False

    def _understand(self, option: int, data: bytes) -> bool:
        if option in (p.OPT_INFO, p.OPT_GO):
            return self._tell(option, data) and option == p.OPT_GO
        if option in (p.OPT_LIST_META_CONTEXT, p.OPT_SET_META_CONTEXT):
            self._contexts(option, data)
        elif option not in (p.OPT_ABORT, p.OPT_LIST, p.OPT_STARTTLS, p.OPT_STRUCTURED_REPLY):
            self._reply(option, p.ERR_UNSUP)
        elif data:
            raise _Invalid
        elif option == p.OPT_STARTTLS:
            self._start_tls()
        else:
            if option == p.OPT_LIST:
                self._reply(option, p.REP_SERVER, p.named(self.offer.name.encode()))
            self._is_structured |= option == p.OPT_STRUCTURED_REPLY
            self._reply(option, p.REP_ACK)
        return False

    def _start_tls(self) -> None:
        if self.offer.tls is None or self.wire.is_secure:
            no = p.ERR_INVALID if self.wire.is_secure else p.ERR_POLICY
            self._reply(p.OPT_STARTTLS, no)
            return
        self._reply(p.OPT_STARTTLS, p.REP_ACK)
        try:
            self.wire.secure(self.offer.tls, hostname=None, is_server=True)
        except OSError as error:
            raise ConnectionLost("the client failed at TLS", path=self.wire.name) from error
        self._forget()

    def _tell(self, option: int, data: bytes) -> bool:
        """Whether the export is ours."""
        name, rest = _string(data)
        (count,) = struct.unpack_from(">H", rest)
        wanted = struct.unpack(f">{count}H", rest[2:])
        if not self._is_known(name):
            self._reply(option, p.ERR_UNKNOWN, b"there is no such export")
            return False
        for info in self._infos(set(wanted)):
            self._reply(option, p.REP_INFO, info)
        self._reply(option, p.REP_ACK)
        return True

    def _infos(self, wanted: set[int]) -> Iterator[bytes]:
        yield p.EXPORT_INFO.pack(p.INFO_EXPORT, self.offer.device.size, self.offer.flags)
        if p.INFO_NAME in wanted:
            yield struct.pack(">H", p.INFO_NAME) + self.offer.name.encode()
        if p.INFO_BLOCK_SIZE in wanted:
            yield p.BLOCK_SIZE_INFO.pack(p.INFO_BLOCK_SIZE, 1, _PREFERRED, LARGEST)

    def _contexts(self, option: int, data: bytes) -> None:
        name, rest = _string(data)
        queries = list(_queries(rest))
        if not self._is_structured:
            raise _Invalid
        if not self._is_known(name):
            self._reply(option, p.ERR_UNKNOWN)
            return
        listing = option == p.OPT_LIST_META_CONTEXT
        matching = (p.ALLOCATION, b"base:") if listing else (p.ALLOCATION,)
        found = (listing and not queries) or any(query in matching for query in queries)
        if found:
            number = struct.pack(">I", 0 if listing else _ALLOCATION_ID)
            self._reply(option, p.REP_META_CONTEXT, number + p.ALLOCATION)
        if not listing:
            self._has_allocation = found
        self._reply(option, p.REP_ACK)

    def _is_known(self, name: bytes) -> bool:
        return name in (b"", self.offer.name.encode())

    def _reply(self, option: int, kind: int, data: bytes = b"") -> None:
        self.wire.send(p.OPTION_REPLY.pack(p.REPLY_MAGIC, option, kind, len(data)) + data)


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string with its length in front, and what comes behind it."""
    (length,) = struct.unpack_from(">I", data)
    if length > min(p.LONGEST_STRING, len(data) - 4):
        raise _Invalid
    return data[4 : 4 + length], data[4 + length :]


def _queries(data: bytes) -> Iterable[bytes]:
    (count,) = struct.unpack_from(">I", data)
    rest = data[4:]
    for _number in range(count):
        query, rest = _string(rest)
        yield query
    if rest:
        raise _Invalid
