# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/folder: the files of a datastore, as any HTTP client sees them."""

from __future__ import annotations

import base64
import http.client
import os
import ssl

import pytest

DISK = "/folder/files01/files01-flat.vmdk?dcPath=DC0&dsName=datastore1"  # of a machine that is off
SIZE = 64 << 20


@pytest.fixture
def vcenter(shared_vcenter):
    return shared_vcenter


@pytest.fixture
def ask(vcenter):
    """ask(verb, target, body, **headers) → (status, headers, body)"""
    tls = ssl.create_default_context(cafile=vcenter.ca_file)
    credentials = f"{vcenter.username}:{vcenter.password}".encode()
    basic = {"Authorization": "Basic " + base64.b64encode(credentials).decode()}

    def ask(verb, target, body=None, authenticated=True, **headers):
        connection = http.client.HTTPSConnection(
            vcenter.hostname, vcenter.port, context=tls, timeout=30
        )
        connection.request(verb, target, body, {**(basic if authenticated else {}), **headers})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    return ask


def test_without_credentials_nothing(ask):
    status, headers, _other = ask("GET", DISK, authenticated=False)
    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Basic")


def test_a_wrong_password_nothing(ask):
    wrong = "Basic " + base64.b64encode(b"administrator@vsphere.local:no").decode()
    assert ask("GET", DISK, authenticated=False, Authorization=wrong)[0] == 401


def test_a_sessions_cookie_opens_it_until_the_session_expires(vcenter, ask):
    pytest.importorskip("pyVmomi")
    with vcenter.connect() as client:
        cookie = client._stub.cookie.split(";")[0]
        assert ask("HEAD", DISK, authenticated=False, Cookie=cookie)[0] == 200
        vcenter.expire_sessions()
        assert ask("HEAD", DISK, authenticated=False, Cookie=cookie)[0] == 401


def test_head_tells_size_and_ranges(ask):
    status, headers, body = ask("HEAD", DISK)
    assert (status, headers["Content-Length"], headers["Accept-Ranges"]) == (
        200,
        str(SIZE),
        "bytes",
    )
    assert body == b""


def test_the_whole_file_is_what_the_guest_has(vcenter, ask):
    status, _other, body = ask("GET", DISK)
    assert status == 200
    same = body == vcenter.guest_read("files01", 2000, 0, SIZE)
    assert same


@pytest.mark.parametrize(
    ("wanted", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1080-1081", 1080, 2),
        ("bytes=-512", SIZE - 512, 512),
        (f"bytes={SIZE - 10}-", SIZE - 10, 10),
        (f"bytes={SIZE - 10}-{SIZE + 99}", SIZE - 10, 10),
    ],
)
def test_ranges(vcenter, ask, wanted, start, length):
    status, headers, body = ask("GET", DISK, Range=wanted)
    assert status == 206
    assert headers["Content-Range"] == f"bytes {start}-{start + length - 1}/{SIZE}"
    assert body == vcenter.guest_read("files01", 2000, start, length)


def test_ext4_is_where_it_belongs(ask):
    assert ask("GET", DISK, Range="bytes=1080-1081")[2] == b"\x53\xef"


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=9-3"])
def test_a_range_outside_the_file_cannot_be_had(ask, wanted):
    assert ask("GET", DISK, Range=wanted)[0] == 416


def test_a_host_that_ignores_ranges_sends_everything(vcenter, ask):
    vcenter.mode(ranges=False)
    status, headers, body = ask("GET", DISK, Range="bytes=0-511")
    assert (status, headers["Content-Range"], len(body)) == (200, None, SIZE)


def test_put_replaces_the_whole_file(ask):
    target = "/folder/files01/new.bin?dcPath=DC0&dsName=datastore1"
    assert ask("PUT", target, b"a longer first version")[0] == 201
    assert ask("PUT", target, b"second")[0] == 200
    assert ask("GET", target)[2] == b"second"


def test_put_takes_a_stream_of_unknown_length(ask):
    target = "/folder/files01/stream.bin?dcPath=DC0&dsName=datastore1"
    assert ask("PUT", target, iter([b"one ", b"two ", b"three"]))[0] == 201
    assert ask("GET", target)[2] == b"one two three"


def test_put_with_a_range_still_replaces_the_whole_file(ask):
    target = "/folder/files01/range.bin?dcPath=DC0&dsName=datastore1"
    ask("PUT", target, b"0123456789")
    ask("PUT", target, b"ab", **{"Content-Range": "bytes 4-5/10"})
    assert ask("GET", target)[2] == b"ab"


def test_a_broken_upload_leaves_the_old_file(vcenter, ask):
    target = "/folder/files01/old.bin?dcPath=DC0&dsName=datastore1"
    ask("PUT", target, b"old")

    def breaks_off():
        yield b"new"
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        ask("PUT", target, breaks_off())
    assert ask("GET", target)[2] == b"old"
    folder = os.path.join(vcenter.datastore_dir, "datastore1", "files01")
    assert not [name for name in os.listdir(folder) if name.startswith("tmp")]


@pytest.mark.parametrize(
    "target",
    [
        "/folder/files01/absent.vmdk?dcPath=DC0&dsName=datastore1",
        "/folder/files01/files01.vmdk?dcPath=DC0&dsName=elsewhere",
        "/folder/files01/files01.vmdk?dcPath=DC9&dsName=datastore1",
    ],
)
def test_what_is_not_there_is_not_found(ask, target):
    assert ask("GET", target)[0] == 404


@pytest.mark.parametrize("path", ["../nfs1/x", "%2e%2e/nfs1/x", "files01/../../x"])
def test_nothing_outside_of_the_datastore(ask, path):
    assert ask("GET", f"/folder/{path}?dcPath=DC0&dsName=datastore1")[0] == 400
    assert ask("PUT", f"/folder/{path}?dcPath=DC0&dsName=datastore1", b"x")[0] == 400


def test_a_directory_is_listed(ask):
    status, headers, body = ask("GET", "/folder/files01/?dcPath=DC0&dsName=datastore1")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'"files01-flat.vmdk"' in body


def test_a_rule_for_reading_files(vcenter, ask):
    vcenter.rule("GET /folder", nth=2, status=503)
    assert [ask("GET", DISK, Range="bytes=0-0")[0] for _other in range(3)] == [206, 503, 206]


def test_a_dropped_connection_mid_way(vcenter, ask):
    vcenter.rule("GET /folder", drop=True)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask("GET", DISK)
    assert ask("HEAD", DISK)[0] == 200
