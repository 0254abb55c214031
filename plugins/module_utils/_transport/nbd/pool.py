# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The connections to one export: as many as are of use, made anew when they were lost."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import threading
import time
import typing as t

from ..._device.errors import DiskInUse, ServerUnreachable
from ..._device.sharedlock import SharedLock
from . import protocol as p
from .connection import Connection
from .handshake import CONNECT_SECONDS, connect
from .wire import ConnectionLost

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .address import Address
    from .wire import Wire

CONNECTIONS = 4  # where the server allows more than one
_GROWTH_SECONDS = 5.0
_ATTEMPTS = 5  # for one request; a server that dies of it dies each time
_PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds; then the last one


@dataclasses.dataclass(frozen=True)
class Patience:
    """In seconds: without a byte of an answer, until a lost server is there again, and for the
    handshake. Reading from vSphere through nbdkit, minutes may pass before an answer."""

    answer: float = 300.0
    reconnect: float = 60.0
    connect: float = CONNECT_SECONDS


class Pool:
    """Lends connections. Whenever one is made, `restore` is called with it before it is used: it
    may lead to a server that was started anew."""

    def __init__(
        self, address: Address, restore: Callable[[Connection], None], patience: Patience
    ) -> None:
        self._address = address
        self._restore = restore
        self._patience = patience
        self._working = SharedLock()  # alone: while connections are made
        self._changed = threading.Condition()
        self._idle: list[Connection] = []
        self._waiting: collections.deque[object] = collections.deque()  # for one, first come first
        self._count = 0  # idle or lent
        self._lost: ConnectionLost | None = None  # nobody may go on before that is mended
        try:
            wire, self.export = connect(address, patience.connect)
        except ConnectionLost as error:
            raise error.given_up() from None
        self._most = CONNECTIONS if self.export.can(p.CAN_MULTI_CONN) else 1
        self._limit = self._most
        self._add(self._ready(wire))

    def run(self, work: Callable[[Connection], None]) -> None:
        """Do it over one connection; again over a new one when that was lost.

        Raises ServerUnreachable, and what `work` raises.
        """
        attempts = 0
        while True:
            self._provide()
            try:
                with self._working.shared(), self._borrowed() as connection:
                    attempts += 1  # one that was lost while we waited for it is none
                    work(connection)
                return
            except ConnectionLost as error:
                if attempts == _ATTEMPTS:
                    raise error.given_up() from None

    def close(self) -> None:
        """Take leave of the server."""
        for connection in self._take_idle():
            connection.close()

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        connection = self._take()
        try:
            yield connection
        except BaseException as error:
            connection.wire.close()  # replies may still be under way: nobody can use it again
            with self._changed:
                self._count -= 1
                if isinstance(error, ConnectionLost):
                    self._lost = error
                self._changed.notify_all()
            raise
        with self._changed:
            self._idle.append(connection)
            self._changed.notify_all()

    def _take(self) -> Connection:
        with self._changed:
            place = object()
            self._waiting.append(place)
            try:
                return self._await(place)
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()

    def _await(self, place: object) -> Connection:
        """Else who has just given one back takes it again, before those who wait have woken up."""
        while True:
            if self._lost is not None:
                raise self._lost
            if self._idle and self._waiting[0] is place:
                return self._idle.pop()
            if not self._count:  # nobody can give one back: whoever comes first makes one
                raise ConnectionLost("the connection was given up", path=self._address.uri)
            self._changed.wait(1)

    def _take_idle(self) -> list[Connection]:
        with self._changed:
            taken, self._idle = self._idle, []
            self._count -= len(taken)
            return taken

    def _add(self, connection: Connection) -> None:
        with self._changed:
            self._idle.append(connection)
            self._count += 1
            self._changed.notify_all()

    # Making connections

    def _provide(self) -> None:
        """See that there is a connection to wait for. Nobody uses any while one is made."""
        is_short = self._waiting or not self._idle
        if self._lost is None and not (is_short and self._count < self._limit):
            return
        with self._working.alone():
            if self._lost is not None:
                self._recover(self._lost)
            elif self._count < self._limit:  # by now all are idle, but they were not
                self._grow()

    def _grow(self) -> None:
        try:
            self._add(self._connect(_GROWTH_SECONDS if self._count else None))
        except ConnectionLost as error:  # a server that allows so many, but not more
            if not self._count:
                raise error.given_up() from None
            self._limit = self._count

    def _connect(self, seconds: float | None = None) -> Connection:
        wire, export = connect(self._address, seconds or self._patience.connect)
        if export != self.export:
            wire.close()
            raise DiskInUse(
                "the NBD server offers another disk under this name than a moment ago",
                path=self._address.uri,
                found=f"{export.size} bytes",
                expected=f"{self.export.size} bytes, with the same abilities",
                hint="Do it again once the server is at rest.",
            )
        connection = self._ready(wire)
        try:
            self._restore(connection)
        except BaseException:
            wire.close()
            raise
        return connection

    def _ready(self, wire: Wire) -> Connection:
        wire.patience(self._patience.answer)
        return Connection(wire, self.export)

    def _recover(self, lost: ConnectionLost) -> None:
        """Make a connection to a server that has all that was ever written."""
        for connection in self._take_idle():
            connection.wire.close()
        end = time.monotonic() + self._patience.reconnect
        pauses = itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1]))
        for pause in pauses:
            time.sleep(pause)
            try:
                self._add(self._connect())
                self._lost, self._limit = None, self._most
                return
            except ConnectionLost as again:
                if time.monotonic() > end:
                    raise self._gone(lost, again) from lost

    def _gone(self, lost: ConnectionLost, again: ConnectionLost) -> ServerUnreachable:
        return ServerUnreachable(
            f"{lost.message}, and it could not be made anew within"
            f" {self._patience.reconnect:g} seconds: {again.message}",
            path=self._address.uri,
            hint="See to the server, then run this again.",
        )
