# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of datastores, from servers on a bad day."""

from __future__ import annotations

import http.client
import http.server
import threading
import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks import folder
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.paths import (
    Place,
    parse_disk,
)

PLACE = Place(parse_disk("[datastore1] web01/web01.vmdk"), None, "DC0", None)


@pytest.fixture
def server(monkeypatch):
    """server.answers.append((status, body, bytes that it sends of it)); the last one stays."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answers = self.server.answers
            status, body, sent = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:sent])
            self.close_connection = True

        def log_message(self, *_arguments):
            pass

    monkeypatch.setattr(folder, "FIRST_PAUSE", 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.answers = []
        port = running.server_address[1]
        monkeypatch.setattr(
            folder, "connection_to", lambda _vcenter: http.client.HTTPConnection("127.0.0.1", port)
        )
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def files():
    vcenter = VCenter("vc.example.com", "somebody", "secret")
    return folder.DatastoreFiles(types.SimpleNamespace(vcenter=vcenter, cookie="a=b"))


def test_a_file_that_arrives_by_half_is_asked_for_again(server, files):
    server.answers += [(200, b"# Disk DescriptorFile", 6), (200, b"# Disk DescriptorFile", 99)]
    assert files.read_small(PLACE) == b"# Disk DescriptorFile"


def test_a_file_that_always_arrives_by_half_is_no_file(server, files):
    server.answers.append((200, b"# Disk DescriptorFile", 6))
    with pytest.raises(errors.ServerUnreachable, match="the connection was dropped"):
        files.read_small(PLACE)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (b"Unable to access file since it is locked", errors.DiskInUse),
        (b"<p>The file is <b>in use</b>.</p>", errors.DiskInUse),
        (b"Failed to lock the file", errors.DiskInUse),
        (b"Cannot read block 17: medium error", errors.DiskIOError),
        (b"Blocked by a policy; the clock is wrong", errors.DiskIOError),
    ],
)
def test_what_an_error_500_says_decides(server, files, words, kind):
    server.answers.append((500, words, 999))
    with pytest.raises(errors.DiskError) as caught:
        files.read_small(PLACE)
    assert caught.type is kind
