# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a configuration is recorded, and what is not."""

from __future__ import annotations

import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.filters import (
    split_options,
    without_volatile,
)


def split(*names):
    return split_options([types.SimpleNamespace(key=name, value="x") for name in names])


@pytest.mark.parametrize(
    "name",
    [
        "guestinfo.userdata",
        "guestinfo.user-data",
        "guestinfo.coreos.config.data",
        "guestinfo.root_pwd",
        "guestinfo.adminPass",
        "guestinfo.kubeconfig",
        "guestinfo.join-key",
        "vsphere.guestinfo.cloudinit",
        "machine.id",
        "guestinfo.userdata.encoding",
        "guestinfo.ignition.config.data",
        "guestinfo.ovfEnv",
        "RemoteDisplay.vnc.key",
        "RemoteDisplay.vnc.password",
        "encryption.keySafe",
        "guestinfo.dbPassword",
        "agent.API_KEY",
        "vTPM.ekCSR",
    ],
)
def test_secrets_are_named_only(name):
    assert split(name) == ({}, [name])


@pytest.mark.parametrize(
    "name",
    ["nvram", "ctkEnabled", "scsi0:0.ctkEnabled", "sched.swap.derivedName", "vmotion.checkpoint"],
)
def test_what_belongs_to_one_run_is_dropped(name):
    assert split(name) == ({}, [])


@pytest.mark.parametrize(
    "name", ["disk.EnableUUID", "ethernet0.pciSlotNumber", "guestinfo.hostname", "mem.hotadd"]
)
def test_the_rest_is_kept(name):
    assert split(name) == ({name: "x"}, [])


def test_changing_fields_of_devices_are_dropped_at_any_depth():
    device = {"key": 2000, "backing": {"fileName": "f", "changeId": "1/2", "parent": {"a": 1}}}

    assert without_volatile([device]) == [{"key": 2000, "backing": {"fileName": "f"}}]
