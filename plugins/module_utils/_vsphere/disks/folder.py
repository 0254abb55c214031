# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The files of datastores over HTTPS (`/folder/…`): parts of them read, whole ones written."""

from __future__ import annotations

import contextlib
import http.client
import queue
import re
import time
import typing as t
import urllib.parse

from ..._device.errors import (
    AccessDenied,
    DiskError,
    DiskInUse,
    DiskIOError,
    DiskNotFound,
    NoSpace,
    TransportUnavailable,
)
from ..connection.unreachable import from_network
from ..connection.wire import connection_to

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..connection.session import Session
    from ..connection.wire import Connection
    from .paths import Place

T = t.TypeVar("T")

ATTEMPTS = 5
FIRST_PAUSE = 0.25  # seconds; doubled after each failure
SMALL = 16 << 20  # bytes of a file that is read whole
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_IN_USE = re.compile(r"\b(lock|locks|locked|in use)\b", re.IGNORECASE)
_OK = (http.client.OK, http.client.CREATED, http.client.NO_CONTENT)
_BROKEN = (OSError, http.client.HTTPException)


class _Again(Exception):
    """The server may answer better at another time."""

    def __init__(self, error: DiskError) -> None:
        super().__init__(str(error))
        self.error = error


class DatastoreFiles:
    """Safe to use from several threads; each has a connection of its own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()

    def close(self) -> None:
        """Connections only; the session stays."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def read_small(self, place: Place) -> bytes:
        """A whole file, such as a descriptor. Raises DiskNotFound, DiskInUse, …"""

        def ask(connection: Connection) -> bytes:
            answer = self._get(connection, place, {})
            data = answer.read(SMALL + 1)
            if len(data) > SMALL:
                connection.close()
                raise TransportUnavailable("is no descriptor: it is too large", path=str(place))
            if answer.length:  # http.client does not say that the connection was lost
                raise http.client.IncompleteRead(data, answer.length)
            return data

        return self._persist(ask, place, "read it")

    def probe(self, place: Place) -> int:
        """Bytes of the file, once it is sure that parts of it can be read.

        Raises TransportUnavailable where the server sends whole files only, DiskInUse, …
        """

        def ask(connection: Connection) -> int:
            answer = self._get(connection, place, {"Range": "bytes=0-0"})
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status != http.client.PARTIAL_CONTENT or found is None:
                connection.close()  # rather than read all that it has begun to send
                raise _no_ranges(place, answer.status)
            answer.read()
            return int(found[3])

        return self._persist(ask, place, "read it")

    def readinto(self, place: Place, offset: int, buffer: memoryview) -> None:
        """A part of the file. Raises TransportUnavailable, DiskIOError, …"""
        first, last = offset, offset + buffer.nbytes - 1

        def ask(connection: Connection) -> None:
            answer = self._get(connection, place, {"Range": f"bytes={first}-{last}"})
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status != http.client.PARTIAL_CONTENT or found is None:
                connection.close()
                raise _no_ranges(place, answer.status)
            if (int(found[1]), int(found[2])) != (first, last):
                connection.close()
                raise DiskIOError(
                    "the server sends another part of the file than was asked for",
                    path=str(place),
                    found=found[0],
                    expected=f"bytes {first}-{last}",
                )
            _fill(answer, buffer)

        self._persist(ask, place, f"read {buffer.nbytes} bytes at {offset}")

    def put(self, place: Place, size: int, chunks: Callable[[], Iterable[bytes]]) -> None:
        """Replace the whole file. `chunks` is called again where it has to be sent again."""

        def ask(connection: Connection) -> None:
            is_whole = self._send(connection, place, size, chunks())
            answer = connection.getresponse()
            if answer.status not in _OK:
                raise self._refusal(answer, place, "write it")
            answer.read()
            if not is_whole:  # whatever the server says
                raise http.client.IncompleteRead(b"")

        self._persist(ask, place, "write it")

    def _send(
        self, connection: Connection, place: Place, size: int, chunks: Iterable[bytes]
    ) -> bool:
        """False where the server closed before it had all."""
        connection.putrequest("PUT", _url(place))
        connection.putheader("Cookie", self._session.cookie)
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        # A server that refuses says so and closes; its answer tells more than our broken pipe.
        for chunk in chunks:
            try:
                connection.send(chunk)
            except OSError:
                return False
        return True

    def _get(
        self, connection: Connection, place: Place, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection.request("GET", _url(place), headers={"Cookie": self._session.cookie, **headers})
        answer = connection.getresponse()
        if answer.status not in (http.client.OK, http.client.PARTIAL_CONTENT):
            raise self._refusal(answer, place, "read it")
        return answer

    def _persist(self, ask: Callable[[Connection], T], place: Place, what: str) -> T:
        """ask() again after what may pass: lost connections, busy servers, ended sessions."""
        pause = FIRST_PAUSE
        for attempt in range(ATTEMPTS):
            cookie = self._session.cookie
            # A kept connection may have died of old age; a new one tells the truth.
            connection = self._connection(fresh=attempt > 0)
            last = attempt == ATTEMPTS - 1
            try:
                result = ask(connection)
            except _Again as again:
                connection.close()
                if last or not self._may_help(again.error, cookie):
                    raise again.error from None
            except _BROKEN as error:
                connection.close()
                if last:
                    raise from_network(error, self._session.vcenter, f"{what} ({place})") from error
            except BaseException:
                connection.close()
                raise
            else:
                self._idle.put(connection)
                return result
            time.sleep(pause)
            pause *= 2
        raise AssertionError  # the last attempt has returned or raised

    def _connection(self, *, fresh: bool) -> Connection:
        if not fresh:
            with contextlib.suppress(queue.Empty):
                return self._idle.get_nowait()
        return connection_to(self._session.vcenter)

    def _may_help(self, error: DiskError, cookie: str) -> bool:
        """Whether to ask again: who is refused in a living session lacks a privilege."""
        if not isinstance(error, AccessDenied):
            return True
        self._session.ensure()
        return self._session.cookie != cookie

    def _refusal(
        self, answer: http.client.HTTPResponse, place: Place, what: str
    ) -> DiskError | _Again:
        said = f"{answer.status} {answer.reason}"
        body = answer.read(2000).decode("utf-8", "replace")
        words = " ".join(re.sub(r"<[^>]*>", " ", body).split())[:300]
        path, status = str(place), answer.status
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            hint = "The user needs the privilege Datastore.FileManagement there, and may log in."
            return _Again(
                AccessDenied(f"cannot {what}: the server says {said}", path=path, hint=hint)
            )
        if status == http.client.NOT_FOUND:
            return DiskNotFound(f"cannot {what}: there is no such file", path=path)
        if status == http.client.INSUFFICIENT_STORAGE:
            return NoSpace(f"cannot {what}: the datastore is full", path=path)
        if _means_in_use(status, words):
            return DiskInUse(
                f"cannot {what}: the file is in use",
                path=path,
                found=f"{said}: {words}" if words else said,
                hint="A running virtual machine, or a backup with the disk attached, has it open.",
            )
        error = DiskIOError(
            f"cannot {what}: the server says {said}", path=path, found=words or None
        )
        return _Again(error) if status >= http.client.INTERNAL_SERVER_ERROR else error


def _means_in_use(status: int, words: str) -> bool:
    """vCenter says so by a status, ESXi by an error 500 and some words."""
    if status in (http.client.CONFLICT, http.client.LOCKED):
        return True
    return status == http.client.INTERNAL_SERVER_ERROR and _IN_USE.search(words) is not None


def _fill(answer: http.client.HTTPResponse, buffer: memoryview) -> None:
    done = 0
    while done < buffer.nbytes:
        count = answer.readinto(buffer[done:])
        if not count:
            raise http.client.IncompleteRead(b"", buffer.nbytes - done)
        done += count
    answer.read()  # nothing: it marks the connection as free again


def _url(place: Place) -> str:
    """No user and no password: a cookie says who asks."""
    query = {"dcPath": place.datacenter_path, "dsName": place.path.datastore}
    return f"/folder/{urllib.parse.quote(place.path.file)}?{urllib.parse.urlencode(query)}"


def _no_ranges(place: Place, status: int) -> TransportUnavailable:
    return TransportUnavailable(
        "the server does not send parts of a file, so the content of the disk cannot be read",
        path=str(place),
        found=f"answer {status}",
        expected="206 Partial Content with a Content-Range",
        hint="Some ESXi hosts are like that. Name the vCenter as hostname.",
    )
