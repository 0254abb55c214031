# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""NBD URIs, as libnbd and qemu write them."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import BadReference
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.address import (
    Trust,
    make_uri,
    parse_uri,
)


@pytest.mark.parametrize(
    ("uri", "server", "export", "trust"),
    [
        ("nbd://host", "host:10809", "", None),
        ("nbd://host/", "host:10809", "", None),
        ("nbd://host:99/a/b", "host:99", "a/b", None),
        ("NBD://[::1]:99/x%20y", "[::1]:99", "x y", None),
        ("nbd+unix:///x?socket=/run/x.sock", "/run/x.sock", "x", None),
        ("nbds://host/x", "host:10809", "x", Trust()),
        ("nbds://host//etc", "host:10809", "/etc", Trust()),
        (
            "nbds+unix:///?socket=/s&tls-certificates=/etc/pki&tls-hostname=web01",
            "/s",
            "",
            Trust("/etc/pki", "web01"),
        ),
        ("nbds://host/?tls-verify-peer=false", "host:10809", "", Trust(verify=False)),
    ],
)
def test_what_a_uri_says(uri, server, export, trust):
    address = parse_uri(uri)
    assert (address.server, address.export, address.trust) == (server, export, trust)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("nbd:///x", "no host"),
        ("nbd+unix:///x", "no socket"),
        ("nbd+unix://host/x?socket=/s", "a host"),
        ("nbd://host/x?socket=/s", "a host and a socket"),
        ("nbd+vsock://2/x", "vsock"),
        ("nbd://host:99999/x", "ort"),
        ("nbd://host/x?colour=red", "colour"),
        ("nbds://host/x?tls-psk-file=/psk", "certificates"),
        ("nbds://host/x?tls-verify-peer=perhaps", "neither true nor false"),
        ("nbd://host/" + "x" * 5000, "too long"),
    ],
)
def test_what_is_no_address(uri, why):
    with pytest.raises(BadReference, match=why):
        parse_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "nbd://host:10809/x%20y%2Fz",
        "nbd://[::1]:99/",
        "nbd+unix:///x?socket=/run/x.sock",
        "nbds://host:1/",
    ],
)
def test_there_and_back(uri):
    address = parse_uri(uri)
    assert make_uri(address) == uri
    assert dataclasses.replace(parse_uri(make_uri(address)), uri="") == dataclasses.replace(
        address, uri=""
    )
