# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Serving a device to any number of clients, until told to stop."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import stat
import threading
import time
import typing as t

from ..._device.errors import (
    DiskError,
    DiskExists,
    DiskNotFound,
    InvalidRequest,
    ServerUnreachable,
)
from .answering import Answering
from .offer import Negotiation
from .wire import ConnectionLost, Wire

if t.TYPE_CHECKING:
    from .address import Address
    from .offer import Offer

CLIENTS = 128  # at once
_HANDSHAKE_SECONDS = 30  # then a client that has chosen nothing has to go
_LEAVE_SECONDS = 30  # for requests under way when the server stops
_LONGEST_SOCKET = 107  # bytes, unix(7)


def listen(address: Address) -> socket.socket:
    """Raises DiskExists, InvalidRequest, ServerUnreachable."""
    path = address.socket
    if path is None:
        return _listen_tcp(address)
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise InvalidRequest(
            "the path of a socket can have 107 bytes", path=path, found=len(os.fsencode(path))
        )
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen()
    except OSError as error:
        listener.close()
        if os.path.lexists(path):
            raise _in_the_way(path) from None
        raise ServerUnreachable(f"cannot listen: {error.strerror}", path=path) from error
    return listener


def check_free(address: Address) -> None:
    """Raises what listen() would, as far as that is known before."""
    if address.socket is None:
        _listen_tcp(address).close()
        return
    folder = os.path.dirname(address.socket)
    if not os.path.isdir(folder):
        raise DiskNotFound("the folder for the socket is missing", path=folder)
    if os.path.lexists(address.socket):
        raise _in_the_way(address.socket)


def _in_the_way(path: str) -> DiskExists:
    is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    what = "a socket that is not ours" if is_socket else "something that is no socket"
    hint = "Where nobody listens there any more, remove it; else choose another path."
    return DiskExists(f"{what} is there already", path=path, hint=hint)


def _listen_tcp(address: Address) -> socket.socket:
    try:
        where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(where[4][:2], family=where[0], backlog=CLIENTS)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "Choose another port, or see who has it with: ss -ltnp"
        raise ServerUnreachable(
            f"cannot listen: {reason}", path=address.server, hint=hint
        ) from None


class Client(threading.Thread):
    """Serves one client, to its end."""

    def __init__(self, wire: Wire, offer: Offer) -> None:
        super().__init__(daemon=True, name="nbd client")
        self.wire = wire
        self.offer = offer
        self.has_until: float | None = time.monotonic() + _HANDSHAKE_SECONDS

    def run(self) -> None:
        try:
            agreed = Negotiation(self.wire, self.offer).run()
            self.has_until = None
            self.wire.patience(None)
            if agreed is not None:
                Answering(self.wire, self.offer, agreed).run()
        except ConnectionLost:
            pass
        except Exception as error:
            self.offer.note("serving a client", error, write=False)
        finally:
            self.wire.hang_up()
            self.wire.close()


class Server:
    """run() returns some time after stop(), with no request under way any more."""

    def __init__(self, offer: Offer, listener: socket.socket) -> None:
        self.offer = offer
        self._listener = listener
        self._clients: list[Client] = []
        self._ear, self._mouth = socket.socketpair()

    def run(self) -> None:
        """Serve."""
        with contextlib.closing(self._ear), contextlib.closing(self._listener) as listener:
            listener.setblocking(False)
            with selectors.DefaultSelector() as selector:
                selector.register(self._ear, selectors.EVENT_READ)
                selector.register(listener, selectors.EVENT_READ)
                while self._ear not in [key.fileobj for key, _mask in selector.select(1)]:
                    self._accept()
        self._leave()

    def stop(self) -> None:
        """From any thread."""
        with contextlib.suppress(OSError):
            self._mouth.send(b".")

    def _accept(self) -> None:
        """Whoever is waiting, and nobody who came long ago and said nothing."""
        now = time.monotonic()
        self._clients = [client for client in self._clients if client.is_alive()]
        for client in self._clients:
            if client.has_until is not None and client.has_until < now:
                client.wire.hang_up()
        try:
            connected, _peer = self._listener.accept()
        except OSError:  # gone already, or no file left for it
            time.sleep(0.01)
            return
        if len(self._clients) >= CLIENTS:
            connected.close()
            return
        client = Client(Wire(connected, "client", _HANDSHAKE_SECONDS), self.offer)
        self._clients.append(client)  # first: whoever is served is also told to leave
        try:
            client.start()
        except RuntimeError as error:  # no thread is left for it
            self._clients.remove(client)
            connected.close()
            self.offer.note("taking in a client", error, write=False)

    def _leave(self) -> None:
        for client in self._clients:
            client.wire.hang_up(reading_only=True)
        end = time.monotonic() + _LEAVE_SECONDS
        for client in self._clients:
            client.join(max(0, end - time.monotonic()))
            client.wire.hang_up()
        for client in self._clients:
            client.join(_LEAVE_SECONDS)
        if any(client.is_alive() for client in self._clients):
            self.offer.note("stopping", DiskError("a request did not end"), write=True)
