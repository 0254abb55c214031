# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why there is no session, or none that may do something: one clear message each."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import socket
import ssl
import threading

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import wire
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    find_vm,
    take_snapshot,
)
from ansible_collections.vdisk.lifecycle.tests.ports import free_port


def refused(target, **changes):
    """What logging in fails with."""
    with pytest.raises(errors.DiskError) as caught:
        open_session(dataclasses.replace(target, **changes))
    return caught.value


@pytest.fixture
def silent_port():
    """Where somebody listens, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    """Where nobody listens."""
    return free_port()


class Plain(http.server.BaseHTTPRequestHandler):
    """A web server without encryption that is no proxy either."""

    def do_CONNECT(self):
        self.send_error(403, "Not through here")

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def plain_port():
    """Where that one listens."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Tunnel(threading.Thread):
    """A proxy that does what CONNECT asks for, and counts."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.asked = []

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self.server.accept()[:1]).start()

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        where = head.split()[1].decode()
        self.asked.append(where)
        host, _other, port = where.rpartition(":")
        # the simulator listens there only
        host = "127.0.0.1" if host == "[::1]" else host
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self._pump, args=(server, client))
            back.start()
            self._pump(client, server)
            back.join()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def tunnel():
    proxy = Tunnel()
    proxy.start()
    yield proxy
    proxy.server.close()


class TestOneClearMessage:
    def test_for_a_wrong_password(self, target):
        error = refused(target, password="hunter2-is-wrong")
        assert isinstance(error, errors.AccessDenied)
        assert f"cannot log in as {target.username}: wrong user name or password" in str(error)
        assert "hunter2-is-wrong" not in str(error) + repr(error) + repr(error.facts())

    def test_for_an_untrusted_certificate(self, target, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        error = refused(target)
        assert isinstance(error, errors.UntrustedCertificate)
        pem = ssl.get_server_certificate((target.hostname, target.port))
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        assert digest in str(error).replace(":", "").lower()
        assert "REQUESTS_CA_BUNDLE" in error.hint

    def test_for_a_certificate_of_another_name(self, target, monkeypatch):
        # any name that leads to the simulator but is not in its certificate
        real = socket.create_connection
        monkeypatch.setattr(
            socket, "create_connection", lambda to, *rest: real(("127.0.0.1", to[1]), *rest)
        )
        error = refused(target, hostname="vcenter.example.com")
        assert isinstance(error, errors.UntrustedCertificate)
        assert "vcenter.example.com" in str(error)
        assert "a name that its certificate is for" in error.hint

    def test_for_a_port_where_nobody_listens(self, target, closed_port):
        error = refused(target, port=closed_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert f"127.0.0.1:{closed_port}: cannot connect: nothing listens there" in str(error)

    def test_for_a_host_that_does_not_answer(self, target, silent_port, monkeypatch):
        monkeypatch.setattr(wire, "CONNECT_TIMEOUT", 0.3)
        error = refused(target, port=silent_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert "no answer in time" in str(error)

    def test_for_a_name_that_does_not_exist(self, target):
        error = refused(target, hostname="vcenter.invalid")
        assert isinstance(error, errors.ServerUnreachable)
        assert "the name vcenter.invalid cannot be resolved" in str(error)

    def test_for_a_port_that_is_not_encrypted(self, target, plain_port):
        error = refused(target, port=plain_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert "no encrypted connection" in str(error)

    def test_for_something_that_is_no_vcenter(self, target, trusted):
        trusted.rule("GET /sdk", status=404)
        error = refused(target)
        assert isinstance(error, errors.ServerUnreachable)
        assert "this is no vCenter or ESXi host" in str(error)

    def test_for_a_proxy_that_refuses(self, target, plain_port):
        error = refused(target, proxy_host="127.0.0.1", proxy_port=plain_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert "the proxy 127.0.0.1 refuses" in str(error)
        assert "403" in str(error)

    def test_for_a_proxy_that_is_not_there(self, target, closed_port):
        error = refused(target, proxy_host="127.0.0.1", proxy_port=closed_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert "nothing listens at the proxy 127.0.0.1" in str(error)
        assert "VMWARE_PROXY_PORT" in error.hint

    def test_for_a_missing_privilege(self, session, trusted):
        trusted.mode(denied=["VirtualMachine.State.CreateSnapshot"])
        vm = find_vm(session, "web01")
        with pytest.raises(errors.AccessDenied) as caught:
            take_snapshot(session, vm)
        text = str(caught.value)
        assert "lacks the privilege VirtualMachine.State.CreateSnapshot" in text
        assert f'on VirtualMachine "web01" ({vm._moId})' in text
        assert "role" in caught.value.hint

    def test_where_logging_in_again_does_not_help(self, session, trusted):
        trusted.rule("CurrentTime", fault="NotAuthenticated", times=0)
        instance = vim.ServiceInstance("ServiceInstance", session.content.rootFolder._stub)
        with pytest.raises(errors.AccessDenied, match="logging in again did not help"):
            session.call(instance.CurrentTime, "ask the time")


files_of_no_use = pytest.mark.parametrize(
    ("name", "trouble"), [("gone.pem", "no such file"), ("no.pem", "holds no certificates")]
)


class TestCertificates:
    def test_none_is_asked_for_without_validation(self, target, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
        with open_session(dataclasses.replace(target, validate_certs=False)) as session:
            assert session.content.about.apiType == "VirtualCenter"

    def test_what_requests_trusts_is_trusted(self, target, trusted, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted.ca_file)
        with open_session(target) as session:
            assert session.content.about.apiType == "VirtualCenter"

    @files_of_no_use
    def test_that_requests_would_trust_must_be_there(
        self, target, tmp_path, monkeypatch, name, trouble
    ):
        (tmp_path / "no.pem").write_text("not a certificate")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / name))
        error = refused(target)
        assert isinstance(error, errors.InvalidRequest)
        assert str(error).startswith(str(tmp_path / name))
        assert "REQUESTS_CA_BUNDLE" in str(error)
        assert trouble in str(error)

    @files_of_no_use
    def test_that_openssl_does_not_find_are_named(
        self, target, tmp_path, monkeypatch, name, trouble
    ):
        (tmp_path / "no.pem").write_text("not a certificate")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
        error = refused(target)
        assert isinstance(error, errors.UntrustedCertificate)
        assert f"SSL_CERT_FILE in the environment names {tmp_path / name}: " in error.hint
        assert trouble in error.hint

    def test_through_a_proxy_an_address_has_brackets(self, target, tunnel):
        proxied = dataclasses.replace(
            target, hostname="::1", proxy_host="[127.0.0.1]", proxy_port=tunnel.port
        )
        with open_session(proxied) as session:
            assert find_vm(session, "web01")
        assert set(tunnel.asked) == {f"[::1]:{target.port}"}

    def test_through_a_proxy_it_is_the_vcenters(self, target, tunnel, monkeypatch):
        proxied = dataclasses.replace(target, proxy_host="127.0.0.1", proxy_port=tunnel.port)
        with open_session(proxied) as session:
            assert find_vm(session, "web01")
        assert set(tunnel.asked) == {f"127.0.0.1:{target.port}"}
        monkeypatch.delenv("SSL_CERT_FILE")
        assert isinstance(refused(proxied), errors.UntrustedCertificate)
