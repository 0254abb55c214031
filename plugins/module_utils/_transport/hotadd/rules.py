# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""When a disk must not, or cannot, be attached to the proxy.

Most of these rules are somebody's lost data. Sources: VMware's "HotAdd best practices" and release
notes of the VDDK, KB 306343 (vSAN), Veeam's KB 1681 and KB 2010953 (NFS).
"""

from __future__ import annotations

import re
import typing as t

from ..._device.errors import DiskError
from ..._vsphere.connection import libraries
from ..._vsphere.disks.reach import VSAN
from ..._vsphere.machine.free_slot import Wanted, find_slot
from ..._vsphere.machine.machine import NONPERSISTENT, find_attached

if t.TYPE_CHECKING:
    from .case import Case, Host

# Of all jobs together. vCenter changes a machine once at a time, which takes seconds for each disk,
# and one PVSCSI controller has 15 slots; more disks at once are read no faster.
MOST_ATTACHED = 8
NFS3 = "NFS"  # version 4.1 is called NFS41
NFS_MENDED = ((8, 0, 2), 23305546)  # ESXi 8.0 U2b


def refusal(case: Case) -> str | None:
    """The first reason in words; None if there is none."""
    return next(filter(None, (rule(case) for rule in _RULES)), None)


def full(devices: t.Sequence[t.Any]) -> str | None:
    """Why one more disk does not fit among the devices of the proxy."""
    held = [device for device in devices if _mode(device) == NONPERSISTENT]
    if len(held) >= MOST_ATTACHED:
        return f"{len(held)} disks are attached to the proxy already, the most it may have"
    try:
        find_slot(devices, Wanted())
    except DiskError as error:
        return str(error)
    return None


def _itself(case: Case) -> str | None:
    if case.disk.vm is not None and case.disk.vm._moId == case.proxy.ref._moId:
        return "it is a disk of the proxy itself, which cannot have it twice"
    return None


def _without_uuids(case: Case) -> str | None:
    name = case.proxy.name
    if not case.proxy.enable_uuid:
        return (
            f"the proxy {name} cannot tell disks apart: power it off, set disk.EnableUUID = TRUE in"
            " its configuration (VM Options > Advanced), and start it again"
        )
    if not case.disk.file.uuid:
        return "the disk has no uuid by which it could be found"
    return None


def _tracking_proxy(case: Case) -> str | None:
    if case.proxy_tracks_changes:
        return (
            f"changed block tracking is on for the proxy {case.proxy.name}: it would track changes"
            " in files of other machines' disks; switch it off (changeTrackingEnabled)"
        )
    return None


def _kind_of_disk(case: Case) -> str | None:
    """A raw device is not attached by its mapping: the other machine would get the device."""
    device = libraries.vim().vm.device.VirtualDisk
    raw = (device.RawDiskVer2BackingInfo, device.PartitionedRawDiskVer2BackingInfo)
    backing = case.disk.backing
    while backing is not None:
        if isinstance(backing, raw) or hasattr(backing, "compatibilityMode"):
            return "it is a raw device mapping"
        if getattr(backing, "sharing", None) == "sharingMultiWriter":
            return "other machines may write to it: nothing holds it still"
        backing = getattr(backing, "parent", None)
    return None


def _reach(case: Case) -> str | None:
    if case.disk.file.datastore is None:
        return "vSphere does not say on which datastore the disk is"
    if case.unreached:
        return f"the host of the proxy, {case.unreached}, cannot reach the datastore of the disk"
    return None


def _nfs(case: Case) -> str | None:
    """The machine would stand still for half a minute when its snapshot goes."""
    if case.disk.storage != NFS3 or case.vm_host.moref == case.proxy_host.moref:
        return None
    if _is_mended(case.vm_host) and _is_mended(case.proxy_host):
        return None
    return (
        f"it is on NFS version 3, and {case.disk.vm_name} would stand still for half a minute when"
        f" its snapshot goes: move the proxy {case.proxy.name} to the same host, or bring both"
        " hosts to ESXi 8.0 U2b"
    )


def _is_mended(host: Host) -> bool:
    """Builds of older releases go on being made: only those of one release can be compared."""
    if not re.fullmatch(r"\d+(\.\d+)*", host.version) or not host.build.isdigit():
        return False
    version = tuple(int(part) for part in host.version.split(".")[:3])
    release, build = NFS_MENDED
    return version > release or (version == release and int(host.build) >= build)


def _vsan(case: Case) -> str | None:
    on_vsan = case.disk.storage == VSAN
    if on_vsan and not case.proxy_on_vsan:
        where = f"the disk is on vSAN and the proxy {case.proxy.name} is not"
    elif case.proxy_on_vsan and not on_vsan:
        where = f"the proxy {case.proxy.name} is on vSAN and the disk is not"
    else:
        return None
    return f"{where}: this fails, or what is read is wrong (VMware's KB 306343)"


def _encryption(case: Case) -> str | None:
    if case.disk.is_encrypted and case.proxy.facts.get("config.keyId") is None:
        return f"the disk is encrypted and the proxy {case.proxy.name} is not"
    return None


def _privileges(case: Case) -> str | None:
    if case.lacking:
        names = ", ".join(case.lacking)
        return f"the user lacks privileges on the proxy {case.proxy.name}: {names}"
    return None


def _attached_already(case: Case) -> str | None:
    if find_attached(case.proxy, case.disk.file, ()) is not None:
        return f"the proxy {case.proxy.name} has it attached already: another job?"
    return None


def _twin(case: Case) -> str | None:
    """The guest, where they could not be told apart, gets to see it later than vCenter."""
    for twin in case.proxy.disks_with(str(case.disk.file.uuid)):
        name = getattr(twin.backing, "fileName", "")
        return f"the proxy {case.proxy.name} has a disk of the same uuid already, {name}: a copy?"
    return None


def _room(case: Case) -> str | None:
    return full(case.proxy.devices)


def _mode(device: t.Any) -> str | None:
    return getattr(getattr(device, "backing", None), "diskMode", None)


_RULES: t.Final = (
    _itself,
    _without_uuids,
    _tracking_proxy,
    _kind_of_disk,
    _reach,
    _nfs,
    _vsan,
    _encryption,
    _privileges,
    _attached_already,
    _twin,
    _room,
)
