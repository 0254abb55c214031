# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is logged in. vcsim keeps the sessions and judges passwords; here they are made to end."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import threading

from .soap import Call, Fault, Reply, session_cookie, tag

# What vCenter answers before anybody has logged in.
OPEN_TO_ALL = {
    "CloneSession",
    "Login",
    "LoginByToken",
    "LoginExtensionByCertificate",
    "RetrieveContent",
    "RetrieveInternalContent",
    "RetrieveServiceContent",
    "PbmRetrieveServiceContent",
}


class Sessions:
    def __init__(self, username: str, password: str) -> None:
        self._right = f"{username}:{password}"
        self._alive: set[str] = set()
        self._expired: set[str] = set()
        self._lock = threading.Lock()

    def check(self, call: Call) -> None:
        """Raises NotAuthenticated."""
        if call.method in OPEN_TO_ALL or call.session in self._alive:
            return
        if (call.method, call.type, call.text("prop")) == ("Fetch", "ServiceInstance", "content"):
            return  # the same as RetrieveServiceContent
        detail = tag("object", call.id, type=call.type) + tag("privilegeId", "System.View")
        raise Fault("NotAuthenticated", "The session is not authenticated.", detail)

    def watched(self, call: Call, reply: Reply) -> Reply:
        """Learn of sessions from what vcsim answers; the cookie gets vCenter's form."""
        key = session_cookie(reply.headers.get("Set-Cookie", ""))
        if reply.status == 200 and key:
            self.begin(key)
            cookie = f'vmware_soap_session="{key}"; Path=/; HttpOnly; Secure'
            return dataclasses.replace(reply, headers={**reply.headers, "Set-Cookie": cookie})
        if reply.status == 200 and call.method == "Logout":
            with self._lock:
                self._alive.discard(call.session)
        return reply

    def begin(self, key: str) -> None:
        with self._lock:
            self._alive.add(key)

    def expire(self, key: str = "") -> None:
        """One session, or all: as after half an hour without a call."""
        with self._lock:
            ended = {key} & self._alive if key else set(self._alive)
            self._expired |= ended
            self._alive -= ended

    def is_expired(self, key: str) -> bool:
        return key in self._expired

    def allows(self, headers: dict[str, str]) -> bool:
        """For plain HTTP: a living session's cookie, or name and password."""
        if session_cookie(headers.get("cookie", "")) in self._alive:
            return True
        kind, _other, value = headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        return kind.lower() == "basic" and given == self._right

    def report(self) -> dict[str, int]:
        return {"alive": len(self._alive), "expired": len(self._expired)}
