# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags by the REST API, the one of today and the one before vSphere 7.0U2."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import rest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.rest import Rest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.tags import Tags

CATEGORIES = {"c-1": "backup", "c-2": "owner"}
TAGS = {"t-1": ("c-1", "gold"), "t-2": ("c-1", "silver"), "t-3": ("c-2", "gold")}
ATTACHED = {
    "t-1": [("VirtualMachine", "vm-1"), ("HostSystem", "host-1")],
    "t-2": [("VirtualMachine", "vm-2")],
    "t-3": [("VirtualMachine", "vm-1"), ("VirtualMachine", "vm-3")],
}
BASIC = "Basic " + base64.b64encode(b"backup@vsphere.local:secret").decode()


def content(kind, item):
    """One tag or category, or the ids of all."""
    known = {"tag": TAGS, "category": CATEGORIES}[kind]
    if item is None:
        return list(known)
    if kind == "category":
        return {"id": item, "name": CATEGORIES[item]}
    category, name = TAGS[item]
    return {"id": item, "name": name, "category_id": category}


def associations(action, asked):
    if action == "list-attached-objects-on-tags":
        return [
            {"tag_id": tag, "object_ids": [{"type": k, "id": i} for k, i in ATTACHED[tag]]}
            for tag in asked["tag_ids"]
        ]
    assert action == "list-attached-tags-on-objects"
    return [
        {
            "object_id": one,
            "tag_ids": [tag for tag, on in ATTACHED.items() if (one["type"], one["id"]) in on],
        }
        for one in asked["object_ids"]
    ]


class Server(http.server.ThreadingHTTPServer):
    """`old`: only what there was before 7.0U2."""

    daemon_threads = True

    def __init__(self, old):
        super().__init__(("127.0.0.1", 0), Answers)
        self.old, self.tokens, self.log = old, set(), []
        self.odd = {}  # the end of a path: (status, body)


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        url = urllib.parse.urlsplit(self.path)
        self.server.log.append(f"{self.command} {self.path}")
        root, wrapped = ("/rest/com/vmware/", True) if self.server.old else ("/api/", False)
        session = root + ("cis/session" if wrapped else "session")
        odd = [answer for end, answer in self.server.odd.items() if url.path.endswith(end)]
        if odd:
            self._send_bytes(*odd[0])
        elif not url.path.startswith(root):
            self._send(404, None)
        elif url.path == session and self.command == "POST":
            if self.headers["Authorization"] != BASIC:
                self._send(401, {"type": "unauthenticated"})
            else:
                self.server.tokens.add("token")
                self._send(200 if wrapped else 201, self._wrap("token"))
        elif self.headers.get("vmware-api-session-id") not in self.server.tokens:
            self._send(401, None)
        elif url.path == session and self.command == "DELETE":
            self.server.tokens.clear()
            self._send(204, None)
        else:
            self._send(200, self._wrap(self._answer(url.path.removeprefix(root), url.query, body)))

    do_POST = do_DELETE = do_GET  # noqa: N815

    def _answer(self, path, query, body):
        if path == "cis/tagging/tag-association":
            name, _other, action = query.partition("=")
            assert name == ("~action" if self.server.old else "action")
            return associations(action, body)
        kind, _other, item = path.removeprefix("cis/tagging/").partition("/")
        if item and self.server.old:
            assert item.startswith("id:")
            item = item.removeprefix("id:")
        return content(kind, item or None)

    def _wrap(self, answer):
        return {"value": answer} if self.server.old else answer

    def _send(self, status, answer):
        self._send_bytes(status, b"" if answer is None else json.dumps(answer).encode())

    def _send_bytes(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_arguments):
        pass


@pytest.fixture(params=[False, True], ids=["api", "rest"])
def server(request, monkeypatch):
    with Server(request.param) as serving:
        threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(
            rest,
            "connection_to",
            lambda _vcenter: http.client.HTTPConnection(*serving.server_address),
        )
        yield serving
        serving.shutdown()


@pytest.fixture
def tags(server):
    with Rest(VCenter("vc", "backup@vsphere.local", "secret")) as opened:
        yield Tags(opened)


def test_labels_have_their_category(tags):
    assert sorted(tags.labels.values()) == ["backup:gold", "backup:silver", "owner:gold"]


@pytest.mark.parametrize(
    ("patterns", "machines"),
    [
        (["backup:gold"], {"vm-1"}),
        (["gold"], {"vm-1", "vm-3"}),
        (["backup:*"], {"vm-1", "vm-2"}),
        (["silver", "owner:gold"], {"vm-1", "vm-2", "vm-3"}),
    ],
)
def test_machines_are_found_by_tag(tags, patterns, machines):
    assert tags.machines_with(patterns) == machines


def test_tags_of_machines(tags):
    assert tags.of_machines(["vm-1", "vm-2", "vm-9"]) == {
        "vm-1": ["backup:gold", "owner:gold"],
        "vm-2": ["backup:silver"],
        "vm-9": [],
    }


def test_a_tag_that_is_not_there_is_told(tags):
    with pytest.raises(errors.ObjectNotFound, match="no tag 'bronze'"):
        tags.machines_with(["gold", "bronze"])


def test_each_tag_is_asked_for_once(tags, server):
    tags.machines_with(["gold"])
    tags.of_machines(["vm-1"])
    tags.of_machines(["vm-2"])
    asked = [line for line in server.log if line.startswith("GET")]
    assert len(asked) == len(set(asked)) == 2 + len(TAGS) + len(CATEGORIES)


def test_a_session_that_has_ended_is_made_anew(tags, server):
    assert tags.of_machines(["vm-1"])
    server.tokens.clear()
    assert tags.of_machines(["vm-2"])


def test_the_session_is_ended(server):
    with Rest(VCenter("vc", "backup@vsphere.local", "secret")) as opened:
        Tags(opened).machines_with(["gold"])
        assert server.tokens
    assert not server.tokens


def test_a_wrong_password_is_told(server):
    opened = Rest(VCenter("vc", "backup@vsphere.local", "wrong-one"))
    with pytest.raises(errors.AccessDenied, match="cannot log in as backup") as caught:
        opened.get("cis/tagging/tag")
    assert "wrong-one" not in str(caught.value)


def test_a_wrong_password_is_tried_once(server):
    """Every thread would try it, and lock the account."""
    opened = Rest(VCenter("vc", "backup@vsphere.local", "wrong-one"))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(opened.get, "cis/tagging/tag") for _number in range(8)]
    assert {type(each.exception()) for each in asked} == {errors.AccessDenied}
    logins = [line for line in server.log if line.endswith("session")]
    assert len(logins) == (2 if server.old else 1)  # one of them where there is no such thing


@pytest.mark.parametrize(
    ("status", "body"),
    [(302, b""), (200, b"<html>Sign in</html>"), (200, b'{"other": 1}'), (200, b"[]")],
    ids=["redirect", "html", "dict", "list"],
)
def test_what_is_no_token_is_none(server, status, body):
    server.odd["session"] = (status, body)
    with pytest.raises(errors.DiskError), Rest(VCenter("vc", "somebody", "secret")) as opened:
        opened.get("cis/tagging/tag")
    assert not any(line.endswith("tagging/tag") for line in server.log)


@pytest.mark.parametrize(
    ("status", "body"), [(302, b""), (200, b"<html>Maintenance</html>")], ids=["redirect", "html"]
)
def test_an_answer_of_somebody_else_is_not_no_tags(tags, server, status, body):
    server.odd["tagging/tag"] = (status, body)
    with pytest.raises(errors.DiskError) as caught:
        tags.machines_with(["gold"])
    assert not isinstance(caught.value, errors.ObjectNotFound)
    assert "cannot GET cis/tagging/tag" in str(caught.value)


def test_a_tag_that_is_deleted_meanwhile_is_left_out(tags, server):
    server.odd["t-2"] = (404, b"")
    assert sorted(tags.labels.values()) == ["backup:gold", "owner:gold"]


def test_nothing_is_asked_before_it_is_needed(server):
    with Rest(VCenter("vc", "backup@vsphere.local", "secret")) as opened:
        Tags(opened)
    assert server.log == []
