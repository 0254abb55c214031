# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTPS on loopback: SOAP to the handlers, the rest to whoever took its path, or to vcsim."""

from __future__ import annotations

import contextlib
import http
import socket
import ssl
import sys
import urllib.parse
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import handlers, soap
from .faults import ConnectionDropped
from .simulator import Simulator

SOAP_PATHS = {  # what clients say → what vcsim knows
    "/sdk": "/sdk",
    "/sdk/vimService": "/sdk",
    "/vslm/sdk": "/vslm/sdk",
    "/pbm": "/pbm",
    "/pbm/sdk": "/pbm",
}
HANDSHAKE_SECONDS = 10
SMALL = 1 << 20


class Request(BaseHTTPRequestHandler):
    """One connection. Handlers of plain HTTP get it, and answer with `send` or `stream`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self.simulator = self.server.simulator

    @property
    def url_path(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))

    @property
    def fields(self) -> dict[str, str]:
        """The request's headers, names in lower case."""
        return {name.lower(): value for name, value in self.headers.items()}

    def read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"".join(self.read_chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def read_chunks(self) -> Iterable[bytes]:
        """The body piece by piece, however it is sent."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                piece = self.rfile.read(min(left, 1 << 20))
                if not piece:
                    raise ConnectionError("the client went away")
                left -= len(piece)
                yield piece
            return
        while size := self._size_of_chunk():
            piece = self.rfile.read(size)
            if len(piece) < size:
                raise ConnectionError("the client went away")
            yield piece
            self.rfile.readline()
        self.rfile.readline()

    def _size_of_chunk(self) -> int:
        line = self.rfile.readline().split(b";")[0].strip()
        if not line:
            raise ConnectionError("the client went away")
        return int(line, 16)

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        head = self._head(status, {"Content-Length": str(len(body)), **(headers or {})})
        # in one piece: TLS would make two records, and two packets, of it
        self.wfile.write(head + (b"" if self.command == "HEAD" else body))

    def refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        """A small body is read first, for clients that speak before they listen."""
        if int(self.headers.get("Content-Length") or 0) <= SMALL:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send(status, message.encode(), {**(headers or {}), "Connection": "close"})

    def stream(
        self, status: int, pieces: Iterable[bytes], length: int | None, headers: dict[str, str]
    ) -> None:
        """With a length where it is known, else in chunks."""
        framing = (
            {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        )
        self.wfile.write(self._head(status, {**framing, **headers}))
        if self.command == "HEAD":
            return
        for piece in pieces:
            self.wfile.write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
        if length is None:
            self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, headers: dict[str, str]) -> bytes:
        self.close_connection |= headers.get("Connection") == "close"
        always = {"Server": "vdisk.lifecycle simulator", "Date": self.date_time_string()}
        lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in {**always, **headers}.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _answer(self) -> None:
        with self.simulator.under_way.one_more():
            self._try_to_answer()

    def _try_to_answer(self) -> None:
        try:
            if self.command == "POST" and self.url_path.rstrip("/") in SOAP_PATHS:
                self._soap(SOAP_PATHS[self.url_path.rstrip("/")])
            else:
                self._plain()
        except (ConnectionDropped, ConnectionError, ssl.SSLError):
            self._drop()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815

    def _soap(self, path: str) -> None:
        try:
            call = soap.parse_call(path, self.read_body(), self.fields)
        except (ValueError, SyntaxError) as error:
            self.send(400, str(error).encode())
            return
        reply = self.simulator.answer(call)
        headers = {"Content-Type": "text/xml; charset=utf-8", **reply.headers}
        self.send(reply.status, reply.body, headers)

    def _plain(self) -> None:
        name = f"{self.command} /{self.url_path.split('/')[1]}"
        self.simulator.calls[name] += 1
        due = self.simulator.rules.due(name)
        for rule in due:
            if rule.expire_session:
                self.simulator.sessions.expire(soap.session_cookie(self.fields.get("cookie", "")))
            if rule.drop is True:
                raise ConnectionDropped
            if rule.status:
                self.refuse(rule.status, rule.message or "by a rule")
                return
        handler = handlers.METHODS.get(("/sdk", name), _forward)
        handler(self.simulator, self)
        if any(rule.drop == "after" for rule in due):
            raise ConnectionDropped

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *arguments: Any) -> None:
        pass


def _forward(simulator: Simulator, request: Request) -> None:
    fields = request.fields
    reply = simulator.upstream.send(request.command, request.path, request.read_body(), fields)
    request.send(reply.status, reply.body, reply.headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, simulator: Simulator, port: int, tls: ssl.SSLContext) -> None:
        self.simulator, self._tls = simulator, tls
        super().__init__(("127.0.0.1", port), Request)
        simulator.address = ("127.0.0.1", self.server_port)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: a client that hangs in the handshake holds up nobody."""
        request.settimeout(HANDSHAKE_SECONDS)
        try:
            secured = self._tls.wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError):
            return  # it does not trust us, or is a port scanner
        secured.settimeout(None)
        try:
            super().finish_request(secured, client_address)
        finally:
            with contextlib.suppress(OSError):
                secured.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go away whenever they like; anything else is a failure of ours."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, ssl.SSLError, TimeoutError)):
            self.simulator.failures.append(repr(error))
            super().handle_error(request, client_address)
