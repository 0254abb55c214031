# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a configuration is recorded, and what is not."""

from __future__ import annotations

import base64
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
        "guestinfo.rootpw",
        "guestinfo.adminpw",
        "guestinfo.cloud_init",
        "guestinfo.ignition.data",
        "coreos.config.data",
        "guestinfo.unattend",
        "guestinfo.kickstart",
        "guestinfo.preseed",
        "guestinfo.sysprep",
        "guestinfo.gitlab_pat",
        "guestinfo.cert.pem",
        "guestinfo.hostname.pw",
    ],
)
def test_secrets_are_named_only(name):
    assert split(name) == ({}, [name])


@pytest.mark.parametrize(
    "value",
    [
        "-----BEGIN PRIVATE KEY-----",
        "root:$6$c2FsdA$x9",
        "$y$j9T$aa$bb",
        "data: " + base64.b64encode(bytes(range(60))).decode(),
    ],
)
def test_secrets_are_known_by_their_values_too(value):
    option = types.SimpleNamespace(key="shop.setting", value=value)
    assert split_options([option]) == ({}, ["shop.setting"])


@pytest.mark.parametrize(
    "value",
    [
        "/vmfs/volumes/5f3c2a10-6e0d4b7a-1c2e-0050569c1a2b/machinesoftheshop/web01/web01-flat.vmdk",
        "52 3d 8a 11 7c 5e 90 42-1d 3f 66 0a 9b 2c 4e 71",
        "0000:0000:0000:0001:0000:0110:1010:0101",
        "costs $6 and $7",
        "architecture='X86' bitness='64' distroName='Debian GNU/Linux 12 (bookworm)'",
    ],
)
def test_what_only_looks_long_is_kept(value):
    option = types.SimpleNamespace(key="shop.setting", value=value)
    assert split_options([option]) == ({"shop.setting": value}, [])


@pytest.mark.parametrize(
    "name",
    [
        "nvram",
        "ctkEnabled",
        "scsi0:0.ctkEnabled",
        "sched.swap.derivedName",
        "vmotion.checkpoint",
        "guestinfo.vmtools.buildNumber",
        "guestinfo.appInfo",
    ],
)
def test_what_belongs_to_one_run_is_dropped(name):
    assert split(name) == ({}, [])


@pytest.mark.parametrize(
    "name",
    [
        "disk.EnableUUID",
        "ethernet0.pciSlotNumber",
        "guestinfo.hostname",
        "guestinfo.driver.vmxnet3.version",
        "guestinfo.interface.0.ip.0.address",
        "mem.hotadd",
    ],
)
def test_the_rest_is_kept(name):
    assert split(name) == ({name: "x"}, [])


def test_changing_fields_of_devices_are_dropped_at_any_depth():
    device = {"key": 2000, "backing": {"fileName": "f", "changeId": "1/2", "parent": {"a": 1}}}

    assert without_volatile([device]) == [{"key": 2000, "backing": {"fileName": "f"}}]
