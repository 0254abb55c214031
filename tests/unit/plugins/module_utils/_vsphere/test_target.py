# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which vCenter users mean by what they write."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    from_options,
    host_and_port,
)

GIVEN = {"hostname": "vc", "username": "backup@vsphere.local", "password": "secret"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vcenter.example.com", ("vcenter.example.com", 443)),
        (" vcenter.example.com ", ("vcenter.example.com", 443)),
        ("VCenter.Example.com", ("vcenter.example.com", 443)),
        ("vcenter.example.com:8443", ("vcenter.example.com", 8443)),
        ("https://vcenter.example.com/", ("vcenter.example.com", 443)),
        ("https://vcenter.example.com/ui/#/hosts", ("vcenter.example.com", 443)),
        ("https://vcenter.example.com:8443/sdk", ("vcenter.example.com", 8443)),
        ("192.0.2.7", ("192.0.2.7", 443)),
        ("2001:db8::1", ("2001:db8::1", 443)),
        ("[2001:db8::1]", ("2001:db8::1", 443)),
        ("[2001:db8::1]:8443", ("2001:db8::1", 8443)),
        ("https://[2001:db8::1]/", ("2001:db8::1", 443)),
    ],
)
def test_hosts(text, expected):
    assert host_and_port(text) == expected


def test_the_option_port_counts_where_the_name_has_none():
    assert host_and_port("vc", 8443) == ("vc", 8443)


@pytest.mark.parametrize(
    ("text", "port", "reason"),
    [
        ("http://vc", 443, "not encrypted"),
        ("vc:8443", 9443, "the option port says 9443"),
        ("vc:port", 443, "no address"),
        ("vc:99999", 443, "no address"),
        ("my vcenter", 443, "no address"),
        ("https://", 443, "no host"),
        ("", 443, "no host"),
        ("[2001:db8::1", 443, "no address"),
    ],
)
def test_no_hosts(text, port, reason):
    with pytest.raises(InvalidRequest, match=reason):
        host_and_port(text, port)


@pytest.mark.parametrize("tail", ["@vc/", "@vc:port/", "@my vc", "@vc:443", ":more@vc", "/@vc"])
@pytest.mark.parametrize("scheme", ["https://", "http://", ""])
def test_a_password_in_the_url_is_refused_and_not_repeated(scheme, tail):
    with pytest.raises(InvalidRequest, match="must not hold") as caught:
        host_and_port(f"{scheme}backup:secret{tail}")
    assert "secret" not in str(caught.value) + repr(caught.value)


def test_a_password_for_the_proxy_is_refused_and_not_repeated():
    with pytest.raises(InvalidRequest, match="proxy_host must not hold") as caught:
        from_options({**GIVEN, "proxy_host": "backup:secret@proxy.example.com"})
    assert "secret" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("name", ["hostname", "username", "password"])
def test_what_is_missing_is_named_with_its_variable(name):
    variable = {"hostname": "HOST", "username": "USER", "password": "PASSWORD"}[name]
    with pytest.raises(InvalidRequest, match=f"option {name} must.*VMWARE_{variable}"):
        from_options({**GIVEN, name: None})


def test_options_that_are_not_given_have_their_defaults():
    vcenter = from_options({**GIVEN, "proxy_host": None, "port": None, "other": 1})
    assert (vcenter.port, vcenter.validate_certs, vcenter.proxy_host) == (443, True, None)


def test_the_password_is_not_in_the_repr():
    assert "secret" not in repr(from_options(GIVEN))


def test_an_ipv6_address_is_bracketed_in_the_address():
    assert from_options({**GIVEN, "hostname": "2001:db8::1"}).address == "[2001:db8::1]:443"
