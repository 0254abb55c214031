# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A recorded configuration as vSphere's request for a new VM."""

from __future__ import annotations

import typing as t

from ..._device.errors import UnsupportedDisk
from ..connection import libraries
from ..inventory.policies import HOME
from .devices import DeviceSpecs, datastore_of
from .placement import KEEP
from .plain import from_plain
from .record import FORMAT
from .vapp import vapp_spec

if t.TYPE_CHECKING:
    from .placement import Found, Placement

LATER = ("bootOptions",)  # they name devices by keys that are not known yet


def make_spec(
    document: dict[str, t.Any],
    placement: Placement,
    found: Found,
    *,
    profiles: dict[str, str],
) -> t.Any:
    """vim.vm.ConfigSpec. `profiles` are the ids of storage policies, by the slots of disks and for
    the home.

    Raises InvalidRequest, ObjectNotFound.
    """
    vim = libraries.vim()
    spec = vim.vm.ConfigSpec(
        name=placement.name or document["name"],
        deviceChange=DeviceSpecs(document, placement, found, profiles).all(),
        files=vim.vm.FileInfo(vmPathName=_home(document, placement)),
    )
    if HOME in profiles:
        spec.vmProfile = [vim.vm.DefinedProfileSpec(profileId=profiles[HOME])]
    fill_settings(spec, document)
    spec.vAppConfig = vapp_spec(document["vapp"])
    if placement.uuid == KEEP:
        spec.uuid = document["uuid"]
        spec.instanceUuid = document["instance_uuid"]
    return spec


def fill_settings(spec: t.Any, document: dict[str, t.Any], leave_out: tuple[str, ...] = ()) -> None:
    """Into a vim.vm.ConfigSpec: all but devices, identity and place."""
    vim = libraries.vim()
    spec.numCPUs, spec.memoryMB = document["cpus"], document["memory_mb"]
    spec.numCoresPerSocket = document["cores_per_socket"]
    for name, value in document["settings"].items():
        if name not in (*LATER, *leave_out):
            setattr(spec, name, from_plain(value))
    spec.tools = _filled(vim.vm.ToolsConfigInfo(), document["tools"])
    spec.powerOpInfo = _filled(vim.vm.DefaultPowerOpInfo(), document["power"])
    option = vim.option.OptionValue
    spec.extraConfig = [
        option(key=key, value=value) for key, value in document["extra_config"].items()
    ]


def check_format(document: dict[str, t.Any]) -> None:
    """Raises UnsupportedDisk."""
    if document.get("format") != FORMAT:
        raise UnsupportedDisk(
            "the recorded configuration is of another version",
            found=document.get("format"),
            expected=FORMAT,
            hint="Use the version of vdisk.lifecycle that made the restore point, or a newer one.",
        )


def _home(document: dict[str, t.Any], placement: Placement) -> str:
    place = datastore_of(document["files"]["vmx"])
    return f"[{placement.datastore_map.get(place, place)}]"


def _filled(target: t.Any, recorded: dict[str, t.Any]) -> t.Any:
    for name, value in recorded.items():
        setattr(target, name, from_plain(value))
    return target
