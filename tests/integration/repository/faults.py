# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy before an S3 server that does to requests what networks and busy servers do."""

from __future__ import annotations

import enum
import http.client
import http.server
import random
import socket
import struct
import threading
import time
import typing as t
import urllib.parse


class Fault(enum.Enum):
    """What may happen to one request. LOST: the server did it, but nobody hears of it."""

    ERROR_500 = "500"
    ERROR_503 = "503"
    ERROR_429 = "429"
    RESET = "reset before the request reached the server"
    LOST = "reset after the server did it"
    TRUNCATED = "the answer breaks off in its body"
    SLOW = "the answer drips"
    HANGS = "the answer does not come"
    CORRUPT_ANSWER = "a bit of the answer's body is flipped"
    CORRUPT_REQUEST = "a bit of the request's body is flipped"
    KEPT = "the store refuses to delete it"


# Those that a client which tries again gets through.
PASSING = (
    Fault.ERROR_500,
    Fault.ERROR_503,
    Fault.ERROR_429,
    Fault.RESET,
    Fault.LOST,
    Fault.TRUNCATED,
    Fault.SLOW,
    Fault.HANGS,
    Fault.CORRUPT_REQUEST,
)


class Request(t.NamedTuple):
    method: str
    path: str
    start: bytes  # of the body


class Proxy:
    """Asks `plan` about each request; None lets it through. `pause`: seconds of SLOW and HANGS."""

    def __init__(self, endpoint: str) -> None:
        self.server = urllib.parse.urlsplit(endpoint).netloc
        self.plan: t.Callable[[Request], Fault | None] = lambda request: None
        self.done: list[tuple[Fault | None, Request]] = []
        self.slow, self.hang = 0.2, 1.0
        self._lock = threading.Lock()
        self._listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._listener.daemon_threads = True
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._listener.server_port}"

    def decide(self, request: Request) -> Fault | None:
        with self._lock:
            fault = self.plan(request)
            self.done.append((fault, request))
            return fault

    def faults(self) -> int:
        return sum(fault is not None for fault, _request in self.done)

    def close(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()


def always(fault: Fault, method: str = "", part: str = "") -> t.Callable[[Request], Fault | None]:
    """To every request of this method whose path contains `part`."""
    return lambda request: (
        fault if method in ("", request.method) and part in request.path else None
    )


def first(fault: Fault, times: int, method: str = "", part: str = "") -> t.Any:
    """To the first requests that always() would hit."""
    hits = always(fault, method, part)
    left = [times]

    def plan(request: Request) -> Fault | None:
        if left[0] and hits(request):
            left[0] -= 1
            return fault
        return None

    return plan


def sometimes(seed: int, faults: tuple[Fault, ...], share: float) -> t.Any:
    """To a share of all requests, any of these."""
    dice = random.Random(seed)
    return lambda request: dice.choice(faults) if dice.random() < share else None


def _handler(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, body[:1000])
            fault = proxy.decide(request)
            if fault in (Fault.ERROR_500, Fault.ERROR_503, Fault.ERROR_429):
                self._answer(int(fault.value), {}, b"", 0)
                return
            if fault is Fault.KEPT:  # as S3 says it: in the answer to a DeleteObjects
                answer = _KEPT % body.partition(b"<Key>")[2].partition(b"</Key>")[0]
                self._answer(200, {}, answer, len(answer))
                return
            if fault is Fault.RESET:
                self._reset()
                return
            if fault is Fault.CORRUPT_REQUEST:
                body = _flipped(body)
            status, headers, answer, length = self._forward(body)
            if fault is Fault.LOST:
                self._reset()
                return
            if fault is Fault.HANGS:
                time.sleep(proxy.hang)
                self._reset()
                return
            if fault is Fault.CORRUPT_ANSWER:
                answer = _flipped(answer)
            self._answer(status, headers, answer, length, fault)

        def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes, int]:
            """As it came, the signed Host too."""
            server = http.client.HTTPConnection(proxy.server, timeout=60)
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                server.putheader(name, value)
            server.endheaders(body)
            answer = server.getresponse()
            content = answer.read()
            length = len(content)
            if self.command == "HEAD":
                length = int(answer.getheader("Content-Length") or 0)
            dropped = ("content-length", "transfer-encoding", "connection")
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in dropped}
            server.close()
            return answer.status, headers, content, length

        def _answer(
            self,
            status: int,
            headers: dict[str, str],
            body: bytes,
            length: int,
            fault: Fault | None = None,
        ) -> None:
            lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
            if status != 204:
                lines.append(f"Content-Length: {length}")
            self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            if fault is Fault.TRUNCATED:
                self.wfile.write(body[: len(body) // 2])
                self._reset()
                return
            if fault is Fault.SLOW:
                half = len(body) // 2
                self.wfile.write(body[:half])
                self.wfile.flush()
                time.sleep(proxy.slow)
                body = body[half:]
            self.wfile.write(body)

        def _reset(self) -> None:
            self.wfile.flush()
            linger = struct.pack("ii", 1, 0)  # close() sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            """Be silent."""

    for method in ("GET", "PUT", "HEAD", "DELETE", "POST"):
        setattr(Handler, f"do_{method}", Handler._do)
    return Handler


_KEPT = b"""<?xml version="1.0" encoding="UTF-8"?>
<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Error><Key>%s</Key>
<Code>AccessDenied</Code><Message>Access Denied</Message></Error></DeleteResult>"""


def _flipped(data: bytes) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[len(data) // 2] ^= 0x10
    return bytes(changed)
