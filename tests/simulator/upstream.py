# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to vcsim: calls of clients passed on, and calls of our own under a session of our own."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import urllib.parse
import uuid
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from .soap import Fault, Reply, Xml, parse_reply, request, session_cookie, tag

# What belongs to one connection, not to the message (RFC 9110 7.6.1); lengths are set anew.
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "host"}


class Upstream:
    def __init__(self, address: tuple[str, int], username: str, password: str) -> None:
        self.address = address
        self._connections = threading.local()
        self._credentials = tag("userName", username), tag("password", password)
        self._session = ""
        self._login()

    def send(self, verb: str, target: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Once more on a new connection, when an idle one turned out to be closed."""
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
        for fresh in (False, True):
            connection = self._connection(fresh)
            try:
                connection.request(verb, target, body, kept)
                response = connection.getresponse()
                content = response.read()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if fresh:
                    raise
            except BaseException:
                connection.close()  # nobody knows how far it came
                raise
        back = {name: value for name, value in response.getheaders() if name.lower() not in _HOP}
        return Reply(content, response.status, back)

    def call(self, method: str, type: str, id: str, *content: Any, path: str = "/sdk") -> Element:
        """The response's element; a fault is raised."""
        body = request(path, method, type, id, *content)
        try:
            return parse_reply(self._post(path, body).body)
        except Fault as fault:
            if fault.name != "NotAuthenticated":
                raise
        self._login()  # nobody has asked for anything for half an hour
        return parse_reply(self._post(path, body).body)

    def _login(self) -> None:
        manager = ("SessionManager", "SessionManager")
        self._session = ""
        answer = self._post("/sdk", request("/sdk", "Login", *manager, *self._credentials))
        parse_reply(answer.body)
        self._session = session_cookie(answer.headers["Set-Cookie"])

    def _post(self, path: str, body: bytes) -> Reply:
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        if self._session:
            headers["Cookie"] = f"vmware_soap_session={self._session}"
        return self.send("POST", path, body, headers)

    def properties(self, type: str, id: str, *paths: str) -> dict[str, Element]:
        """Those that are set: path → its <val>."""
        found = self.retrieve(type, [id], *paths)
        return found.get(id, {})

    def retrieve(self, type: str, ids: list[str], *paths: str) -> dict[str, dict[str, Element]]:
        spec = tag(
            "specSet",
            tag("propSet", tag("type", type), *(tag("pathSet", path) for path in paths)),
            *(tag("objectSet", tag("obj", id, type=type)) for id in ids),
        )
        answer = self.call("RetrieveProperties", "PropertyCollector", "propertyCollector", spec)
        return {
            entry.findtext("obj") or "": {
                each.findtext("name") or "": value
                for each in entry.findall("propSet")
                if (value := each.find("val")) is not None
            }
            for entry in answer.findall("returnval")
        }

    def text(self, type: str, id: str, path: str) -> str:
        found = self.properties(type, id, path).get(path)
        return "" if found is None else found.text or ""

    def all(self, type: str, *paths: str) -> dict[str, dict[str, Element]]:
        """Every object of a type, by its id."""
        view = self.call(
            "CreateContainerView",
            "ViewManager",
            "ViewManager",
            tag("container", "group-d1", type="Folder"),
            tag("type", type),
            tag("recursive", True),
        ).findtext("returnval")
        try:
            ids = [
                each.text or ""
                for each in self.properties("ContainerView", view or "", "view")["view"]
            ]
        finally:
            self.call("DestroyView", "ContainerView", view or "")
        return self.retrieve(type, ids, *paths) if ids else {}

    def set(self, type: str, id: str, changes: Mapping[str, Xml]) -> None:
        """Any property of any object: path → its <val>, with its xsi type."""
        body = tag(
            "changes",
            *(
                tag("change", tag("name", name), tag("op", "assign"), value)
                for name, value in changes.items()
            ),
            **{"xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"},
        )
        self._interposer("properties", {"type": type, "id": id}, body)

    def new_task(self, type: str, id: str, name: str) -> str:
        """`name` is the method's, ReconfigVM_Task: pyVim looks it up; vcsim puts in the _."""
        name = name.removesuffix("_Task") + "Task"
        key = f"task-{uuid.uuid4()}"
        return self._interposer("task", {"type": type, "id": id, "name": name, "key": key})

    def new_lease(self, id: str) -> None:
        """An HttpNfcLease that is initializing; `set` moves it on."""
        self._interposer("lease", {"id": id})

    def rest(self, verb: str, target: str, body: Any = None, session: str = "") -> Any:
        """A call of the REST interface under /rest."""
        headers = {"Content-Type": "application/json", "vmware-api-session-id": session}
        answer = self.send(verb, target, json.dumps(body).encode() if body else b"", headers)
        if answer.status >= 300:
            raise RuntimeError(f"{verb} {target}: {answer.status} {answer.body.decode()[:200]}")
        return json.loads(answer.body or b"null")

    def rest_session(self, username: str, password: str) -> str:
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        basic = {"Authorization": f"Basic {credentials}"}
        answer = self.send("POST", "/rest/com/vmware/cis/session", b"", basic)
        return str(json.loads(answer.body)["value"])

    def _interposer(self, name: str, query: dict[str, str], body: str = "") -> str:
        target = f"/interposer/{name}?{urllib.parse.urlencode(query)}"
        answer = self.send("POST", target, body.encode(), {})
        if answer.status != 200:
            raise RuntimeError(f"vcsim: {name} {query}: {answer.body.decode()}")
        return answer.body.decode()

    def _connection(self, fresh: bool) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._connections, "one", None)
        if connection is None or fresh:
            if connection is not None:
                connection.close()
            connection = http.client.HTTPConnection(*self.address, timeout=600)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.one = connection
        return connection
