# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""First-class disks where the server does not know them, or does not answer for all of them."""

from __future__ import annotations

import uuid

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import ResizeRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.resize_disk import plan_resize
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.shared import (
    shared_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks import fcd
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.paths import (
    ManagedPath,
    find_place,
)

MIB = 1 << 20


@pytest.fixture
def name():
    return f"data {uuid.uuid4().hex[:6]}"


@pytest.fixture
def disk(lab, name):
    """The reference to a disk of 4 MiB."""
    lab.first_class_disk(name)
    return f"[datastore1] fcd:{name}"


def test_a_mark_means_nothing_to_a_host_without_a_vcenter(lab, access, monkeypatch):
    """Which has nobody to ask."""
    path = lab.new_disk()
    lab.add_to_descriptor(path, f'ddb.fcd.uuid = "{uuid.uuid4()}"')
    content = shared_session(access.vcenter).content
    monkeypatch.setattr(content, "vStorageObjectManager", None)
    plan_resize(ResizeRequest(path, 8 * MIB, access)).run(check_mode=False)
    assert lab.modules.vmdk_info(path=path)["disk"]["size"] == 8 * MIB


@pytest.fixture
def session(access):
    return shared_session(access.vcenter)


@pytest.fixture
def datastore(session):
    return find_place(session, ManagedPath("datastore1", "")).datastore


@pytest.fixture
def sick(lab, session, datastore, monkeypatch):
    """The name of one that vCenter cannot say anything about."""
    name, real = f"sick {uuid.uuid4().hex[:6]}", fcd.look_up
    lab.first_class_disk(name)
    bad = fcd.require_first_class(session, datastore, name).id

    def look_up(session, datastore, known):
        if known == bad:
            raise DiskError("cannot look at a first-class disk", path=f"fcd:{known}")
        return real(session, datastore, known)

    monkeypatch.setattr(fcd, "look_up", look_up)
    return name


def test_a_sick_one_does_not_hide_the_others(lab, session, datastore, name, disk, sick):
    assert fcd.find_first_class(session, datastore, name).name == name


def test_it_is_not_taken_for_gone_itself(session, datastore, sick):
    """Or a second one of that name would be made."""
    with pytest.raises(DiskError, match="cannot look at"):
        fcd.find_first_class(session, datastore, sick)
