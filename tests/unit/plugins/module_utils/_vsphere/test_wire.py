# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to a proxy, with any Python that users run."""

from __future__ import annotations

import socket
import threading

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.wire import (
    connection_to,
)


@pytest.fixture
def proxy():
    """(port, what was said): it refuses, as soon as it has heard."""
    heard = []

    def listen():
        client = server.accept()[0]
        with client:
            while b"\r\n\r\n" not in b"".join(heard):
                heard.append(client.recv(4096))
            client.sendall(b"HTTP/1.1 403 No\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], heard
        thread.join()


@pytest.mark.parametrize(
    ("hostname", "named"),
    [("2001:db8::1", b"[2001:db8::1]:443"), ("vc.example.com", b"vc.example.com:443")],
)
@pytest.mark.parametrize("proxy_host", ["127.0.0.1", "[127.0.0.1]"])
def test_an_ipv6_address_has_brackets(proxy, hostname, named, proxy_host):
    port, heard = proxy
    vcenter = VCenter(hostname, "somebody", "secret", proxy_host=proxy_host, proxy_port=port)
    connection = connection_to(vcenter)
    with pytest.raises(OSError, match="403"):
        connection.connect()
    lines = b"".join(heard).split(b"\r\n")
    assert lines[0].split()[:2] == [b"CONNECT", named]
    assert b"Host: " + named in lines
    assert connection._tunnel_host == hostname  # which the certificate must be for
