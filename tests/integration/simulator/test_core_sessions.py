# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in, staying in, being thrown out: as plain pyVmomi sees it."""

from __future__ import annotations

import socket
import ssl

import pytest

pytest.importorskip("pyVmomi")

from pyVim.connect import SmartConnect
from pyVmomi import vim


@pytest.fixture
def vcenter(shared_vcenter):
    return shared_vcenter


@pytest.fixture
def client(vcenter):
    with vcenter.connect() as client:
        yield client


def test_the_wrong_password_is_refused(vcenter):
    tls = ssl.create_default_context(cafile=vcenter.ca_file)
    with pytest.raises(vim.fault.InvalidLogin):
        SmartConnect(
            host=vcenter.hostname,
            port=vcenter.port,
            user=vcenter.username,
            pwd="wrong",
            sslContext=tls,
        )


def test_nobody_trusts_its_certificate_unasked(vcenter):
    strict = ssl.create_default_context()
    with (
        socket.create_connection((vcenter.hostname, vcenter.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        strict.wrap_socket(plain, server_hostname=vcenter.hostname)


def test_it_is_a_vcenter_of_today(client):
    about = client.RetrieveContent().about
    assert (about.apiType, about.version) == ("VirtualCenter", "8.0.3")


def test_nothing_is_told_before_login(vcenter, client):
    client.content.sessionManager.Logout()
    with pytest.raises(vim.fault.NotAuthenticated):
        client.RetrieveContent().viewManager.CreateContainerView(
            client.content.rootFolder, [], True
        )


def test_an_expired_session_is_refused_everything(vcenter, client):
    content = client.RetrieveContent()
    vcenter.expire_sessions()
    with pytest.raises(vim.fault.NotAuthenticated):
        client.CurrentTime()
    with pytest.raises(vim.fault.NotAuthenticated):
        _other = content.rootFolder.childEntity


def test_after_expiry_one_can_log_in_again_on_the_same_connection(vcenter, client):
    vcenter.expire_sessions()
    client.content.sessionManager.Login(vcenter.username, vcenter.password)
    assert client.CurrentTime()


def test_one_session_expires_without_the_other(vcenter, client):
    key = client.content.sessionManager.currentSession.key
    with vcenter.connect() as other:
        vcenter.control("POST", "session/expire", key=key)
        assert other.CurrentTime()
        with pytest.raises(vim.fault.NotAuthenticated):
            client.CurrentTime()


def test_an_unset_property_is_none(vcenter, client):
    folder = client.content.rootFolder.childEntity[0].vmFolder
    machine = next(each for each in folder.childEntity if isinstance(each, vim.VirtualMachine))
    assert machine.snapshot is None
