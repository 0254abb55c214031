# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside /sdk: storage policies, first-class disks, and the REST interface."""

from __future__ import annotations

import base64
import http.client
import json
import ssl

import pytest

pytest.importorskip("pyVmomi")

from pyVmomi import SoapStubAdapter, VmomiSupport, pbm, vim, vslm


@pytest.fixture
def vcenter(shared_vcenter):
    return shared_vcenter


@pytest.fixture
def stub(vcenter):
    """stub(path, name) with the session of a client, as VMware's samples make it."""
    with vcenter.connect() as client:
        key = client._stub.cookie.split('"')[1]
        VmomiSupport.GetRequestContext()["vcSessionCookie"] = key
        tls = ssl.create_default_context(cafile=vcenter.ca_file)
        yield lambda path, name: SoapStubAdapter(
            host=vcenter.hostname,
            port=vcenter.port,
            path=path,
            version=VmomiSupport.newestVersions.GetName(name),
            sslContext=tls,
        )
        VmomiSupport.GetRequestContext().clear()


@pytest.fixture
def rest(vcenter):
    """rest(verb, path, session or None, basic credentials) → (status, value)"""
    tls = ssl.create_default_context(cafile=vcenter.ca_file)
    connection = http.client.HTTPSConnection(vcenter.hostname, vcenter.port, context=tls)

    def rest(verb, path, session="", credentials=""):
        headers = {"vmware-api-session-id": session}
        if credentials:
            headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        connection.request(verb, "/rest/com/vmware/cis/" + path, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content)["value"] if answer.status == 200 else None

    yield rest
    connection.close()


@pytest.fixture
def login(vcenter):
    return f"{vcenter.username}:{vcenter.password}"


def test_storage_policies_are_told(stub):
    service = pbm.ServiceInstance("ServiceInstance", stub("/pbm/sdk", "pbm")).RetrieveContent()
    kind = pbm.profile.ResourceType(resourceType="STORAGE")
    assert service.profileManager.PbmQueryProfile(kind, "REQUIREMENT")


def test_first_class_disks_have_their_endpoint(stub):
    service = vslm.ServiceInstance("ServiceInstance", stub("/vslm/sdk", "vslm")).RetrieveContent()
    found = service.vStorageObjectManager.VslmListVStorageObjectForSpec(None, 10)
    assert found.allRecordsReturned
    assert list(found.id) == []


@pytest.mark.parametrize("path", ["/pbm/sdk", "/vslm/sdk"])
def test_an_expired_session_is_expired_there_too(vcenter, stub, path):
    kind, name = (pbm, "pbm") if path == "/pbm/sdk" else (vslm, "vslm")
    service = kind.ServiceInstance("ServiceInstance", stub(path, name)).RetrieveContent()
    vcenter.expire_sessions()
    with pytest.raises(vim.fault.NotAuthenticated):
        if kind is pbm:
            service.profileManager.PbmFetchResourceType()
        else:
            service.vStorageObjectManager.VslmListVStorageObjectForSpec(None, 10)


def test_rest_wants_the_right_password(rest, login):
    assert rest("POST", "session", credentials=login)[0] == 200
    assert rest("POST", "session", credentials="administrator@vsphere.local:wrong")[0] == 401


def test_a_rest_session_expires_like_the_others(vcenter, rest, login):
    session = rest("POST", "session", credentials=login)[1]
    assert rest("GET", "tagging/tag", session)[0] == 200
    vcenter.expire_sessions()
    assert rest("GET", "tagging/tag", session)[0] == 401
    again = rest("POST", "session", credentials=login)[1]
    assert rest("GET", "tagging/tag", again)[0] == 200


def test_a_rule_for_rest(vcenter, rest, login):
    vcenter.rule("POST /rest", status=503)
    assert rest("POST", "session", credentials=login)[0] == 503
    assert rest("POST", "session", credentials=login)[0] == 200
