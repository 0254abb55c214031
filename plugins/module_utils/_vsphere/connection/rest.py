# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""vCenter's REST API, as far as there is no other way: tags."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import threading
import typing as t

from ..._device.errors import AccessDenied, DiskError, ObjectNotFound, VSphereFault
from .session import BROKEN
from .unreachable import from_network
from .wire import connection_to

if t.TYPE_CHECKING:
    from .target import VCenter

SESSION_HEADER = "vmware-api-session-id"
_GONE = (http.client.NOT_FOUND, http.client.METHOD_NOT_ALLOWED, http.client.NOT_IMPLEMENTED)


_TOLD = 500  # characters of an answer, in a message


class Rest:
    """A session of the REST API. Safe to use from several threads.

    Since vSphere 7.0U2 it lives below /api; before, below /rest, where every answer is wrapped.
    """

    def __init__(self, vcenter: VCenter) -> None:
        self.vcenter = vcenter
        self._old = False
        self._token: str | None = None
        self._denied: AccessDenied | None = None
        self._lock = threading.Lock()
        self._local = threading.local()
        self._open: list[http.client.HTTPSConnection] = []

    def __enter__(self) -> Rest:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def get(self, path: str, item: str | None = None) -> t.Any:
        """What is at `path`, as cis/tagging/tag; of one `item` there. Raises DiskError."""
        return self._ask("GET", path, item, None, None)

    def post(self, path: str, action: str, body: t.Any) -> t.Any:
        """What an action answers that changes nothing. Raises DiskError."""
        return self._ask("POST", path, None, action, body)

    def close(self) -> None:
        """End the session. Errors do not matter any more."""
        with contextlib.suppress(*BROKEN):
            if self._token is not None:
                self._send("DELETE", self._session_path(), {SESSION_HEADER: self._token})
        for connection in self._open:
            connection.close()

    def _ask(
        self, verb: str, path: str, item: str | None, action: str | None, body: t.Any
    ) -> t.Any:
        what = f"{verb} {path}"
        try:
            token = self._token or self._log_in(None)
            status, answer = self._request(verb, self._url(path, item, action), token, body)
            if status == http.client.UNAUTHORIZED:
                token = self._log_in(token)
                status, answer = self._request(verb, self._url(path, item, action), token, body)
        except BROKEN as error:
            raise from_network(error, self.vcenter, what) from error
        if not _is_fine(status):
            raise self._refused(status, answer, what)
        return answer if answer is None else self._unwrapped(answer, what)

    def _unwrapped(self, answer: t.Any, what: str) -> t.Any:
        if not self._old:
            return answer
        if not isinstance(answer, dict) or "value" not in answer:
            raise self._refused(http.client.OK, answer, what)
        return answer["value"]

    def _url(self, path: str, item: str | None, action: str | None) -> str:
        if self._old:
            return (
                f"/rest/com/vmware/{path}"
                + (f"/id:{item}" if item else "")
                + (f"?~action={action}" if action else "")
            )
        return (
            f"/api/{path}" + (f"/{item}" if item else "") + (f"?action={action}" if action else "")
        )

    def _session_path(self) -> str:
        return "/rest/com/vmware/cis/session" if self._old else "/api/session"

    def _log_in(self, failed: str | None) -> str:
        """Once, however many threads noticed that the token is good no more: too many wrong
        passwords lock an account."""
        with self._lock:
            if self._denied is not None:
                raise self._denied
            if self._token is None or self._token == failed:
                self._token = self._new_token()
            return self._token

    def _new_token(self) -> str:
        vcenter = self.vcenter
        what = f"log in as {vcenter.username}"
        secret = base64.b64encode(f"{vcenter.username}:{vcenter.password}".encode()).decode()
        headers = {"Authorization": f"Basic {secret}"}
        status, answer = self._send("POST", self._session_path(), headers)
        if status in _GONE and not self._old:
            self._old = True
            status, answer = self._send("POST", self._session_path(), headers)
        if not _is_fine(status):
            error = self._refused(status, answer, what)
            self._denied = error if isinstance(error, AccessDenied) else None
            raise error
        token = self._unwrapped(answer, what)
        if not isinstance(token, str) or not token:
            raise self._refused(status, None, what)
        return token

    def _request(self, verb: str, url: str, token: str, body: t.Any) -> tuple[int, t.Any]:
        headers = {SESSION_HEADER: token, "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body).encode()
        return self._send(verb, url, headers, text)

    def _send(
        self, verb: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[int, t.Any]:
        """(status, decoded answer). All that is asked here may be asked twice."""
        try:
            return self._send_once(verb, url, headers, body)
        except (ConnectionError, http.client.HTTPException):
            self._connection().close()
            return self._send_once(verb, url, headers, body)

    def _send_once(
        self, verb: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, t.Any]:
        connection = self._connection()
        connection.request(verb, url, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text) if text else None
        except ValueError:
            if _is_fine(answer.status):
                raise http.client.HTTPException("what answers there is something else") from None
            return answer.status, None

    def _connection(self) -> http.client.HTTPSConnection:
        """One for each thread."""
        connection: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connection_to(self.vcenter)
            self._open.append(connection)
        return connection

    def _refused(self, status: int, answer: t.Any, what: str) -> DiskError:
        kinds: dict[int, type[DiskError]] = {
            http.client.UNAUTHORIZED: AccessDenied,
            http.client.FORBIDDEN: AccessDenied,
            http.client.NOT_FOUND: ObjectNotFound,
        }
        reason = http.client.responses.get(status, "")
        reason = "with something that is no answer to that" if _is_fine(status) else reason
        said = json.dumps(answer)[:_TOLD] if isinstance(answer, dict) else reason
        return kinds.get(status, VSphereFault)(
            f"cannot {what} by the REST API: {status} {said}",
            path=self.vcenter.hostname,
            hint=(
                "Only a vCenter has tags, and the user needs to read them there. With"
                " gather_tags: false, nobody asks for them."
            ),
        )


def _is_fine(status: int) -> bool:
    """Nobody is followed to another place: where that is, we have not been told to trust."""
    return http.client.OK <= status < http.client.MULTIPLE_CHOICES
