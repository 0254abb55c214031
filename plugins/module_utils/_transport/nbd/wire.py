# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Bytes over one socket, exactly as many as asked for."""

from __future__ import annotations

import contextlib
import socket
import typing as t

from ..._device.errors import ServerUnreachable

if t.TYPE_CHECKING:
    import ssl  # not needed by those who only open plain disks

    from ..._device.device import Buffer

_JOINED = 16 << 10  # bytes; less is copied rather than sent apart
_TCP_USER_TIMEOUT = 18  # tcp(7); not in every Python's socket module
# Seconds until a host that does not acknowledge is given up. One that takes nothing more for the
# moment counts as such, too.
_DEAD_AFTER = 300


class ConnectionLost(ServerUnreachable):
    """The connection ended, or nothing came over it for too long. Trying again may help."""

    def given_up(self) -> ServerUnreachable:
        """Once nobody tries again."""
        return ServerUnreachable(self.message, path=self.path, hint=self.hint)


class Wire:
    """A connected socket, with or without TLS. For one thread at a time."""

    def __init__(self, connected: socket.socket, name: str, timeout: float | None) -> None:
        self.name = name
        self.is_secure = False
        self._socket = connected
        connected.settimeout(timeout)
        if connected.family != socket.AF_UNIX:
            notice_dead_host(connected)

    def patience(self, timeout: float | None) -> None:
        """Seconds without a byte after which it counts as lost."""
        self._socket.settimeout(timeout)

    def secure(self, context: ssl.SSLContext, *, hostname: str | None, is_server: bool) -> None:
        """Go on in TLS. Raises ssl.SSLError, OSError."""
        self._socket = context.wrap_socket(
            self._socket, server_side=is_server, server_hostname=hostname
        )
        self.is_secure = True

    def receive(self, length: int) -> bytes:
        """Raises ConnectionLost."""
        buffer = bytearray(length)
        self.receive_into(memoryview(buffer))
        return bytes(buffer)

    def receive_into(self, view: memoryview) -> None:
        """Raises ConnectionLost."""
        while view.nbytes:
            try:
                count = self._socket.recv_into(view)
            except OSError as error:
                raise self._lost(error) from error
            if count == 0:
                raise ConnectionLost("the connection was closed", path=self.name)
            view = view[count:]

    def send(self, head: bytes, payload: Buffer = b"") -> None:
        """Raises ConnectionLost."""
        size = memoryview(payload).nbytes
        try:
            if size <= _JOINED:
                self._socket.sendall(b"".join((head, payload)))
            else:
                self._send_apart(head, memoryview(payload))
        except OSError as error:
            raise self._lost(error) from error

    def _send_apart(self, head: bytes, payload: memoryview) -> None:
        if self.is_secure:
            self._socket.sendall(head)
            self._socket.sendall(payload)
            return
        sent = self._socket.sendmsg((head, payload))
        if sent < len(head):
            self._socket.sendall(head[sent:])
        self._socket.sendall(payload[max(0, sent - len(head)) :])

    def _lost(self, error: OSError) -> ConnectionLost:
        if isinstance(error, TimeoutError) and error.errno is None:  # ours, not that of TCP
            silent = self._socket.gettimeout()
            return ConnectionLost(f"nothing was heard for {silent:g} seconds", path=self.name)
        reason = error.strerror or str(error)
        return ConnectionLost(f"the connection was lost: {reason}", path=self.name)

    def hang_up(self, *, reading_only: bool = False) -> None:
        """Wake up whoever waits for this socket, in any thread; he gets ConnectionLost."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own, which forgets its TLS under the hands of the other thread.
            how = socket.SHUT_RD if reading_only else socket.SHUT_RDWR
            socket.socket.shutdown(self._socket, how)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def notice_dead_host(connected: socket.socket) -> None:
    """So that a request may take its time, but a host that was switched off is noticed."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, _DEAD_AFTER * 1000)
