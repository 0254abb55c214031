# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The configuration of a VM as a JSON document, enough to make another one of it."""

from __future__ import annotations

import typing as t

from ..connection import libraries
from ..connection.collect import collect, properties
from ..machine.frozen import slot_names
from .filters import split_options, without_volatile
from .plain import REFERENCE, to_plain
from .vapp import recorded_vapp

if t.TYPE_CHECKING:
    from ..connection.session import Session
    from ..inventory.policies import Policies
    from ..inventory.tags import Tags

FORMAT = 1
_VM = ("name", "config", "customValue", "runtime.host", "resourcePool", "parent")
# Fields of ConfigInfo that ConfigSpec takes under the same name, as they are.
SAME = (
    "annotation", "alternateGuestName", "guestId", "version", "firmware",
    "changeTrackingEnabled", "memoryHotAddEnabled", "cpuHotAddEnabled", "cpuHotRemoveEnabled",
    "cpuAllocation", "memoryAllocation", "latencySensitivity", "cpuAffinity", "memoryAffinity",
    "networkShaper", "swapPlacement", "bootOptions", "vAssertsEnabled", "maxMksConnections",
    "guestAutoLockEnabled", "managedBy", "memoryReservationLockedToMax", "nestedHVEnabled",
    "vPMCEnabled", "messageBusTunnelEnabled", "migrateEncryption", "sgxInfo", "ftEncryptionMode",
    "sevEnabled", "pmemFailoverEnabled", "flags", "consolePreferences", "rebootPowerOff",
    "npivDesiredNodeWwns", "npivDesiredPortWwns", "npivTemporaryDisabled", "npivOnNonRdmDisks",
)  # fmt: skip
_TOOLS = (
    "afterPowerOn", "afterResume", "beforeGuestStandby", "beforeGuestShutdown",
    "beforeGuestReboot", "toolsUpgradePolicy", "syncTimeWithHost", "syncTimeWithHostAllowed",
)  # fmt: skip
_POWER = ("defaultPowerOffType", "defaultSuspendType", "defaultResetType", "standbyAction")


def record(
    session: Session,
    vm: t.Any,
    *,
    tags: Tags | None = None,
    policies: Policies | None = None,
    snapshot: t.Any = None,
) -> dict[str, t.Any]:
    """As the VM is now, or was when `snapshot` was taken. Secrets are named, not recorded.

    Without `tags` or `policies` (a host without vCenter has neither) there are none in it.

    Raises DiskError.
    """
    of_vm = properties(session, vm, _VM)
    config = of_vm["config"]
    if snapshot is not None:
        config = properties(session, snapshot, ("config",))["config"]
    devices = [without_volatile(to_plain(each)) for each in config.hardware.device]
    options, secret = split_options(config.extraConfig or ())
    vapp, vapp_secret = recorded_vapp(config.vAppConfig)
    slots = slot_names(config.hardware.device)
    return {
        "format": FORMAT,
        "name": str(of_vm["name"]),
        "moref": str(vm._moId),
        "vcenter": session.identity,
        "uuid": config.uuid,
        "instance_uuid": config.instanceUuid,
        "template": bool(config.template),
        "cpus": config.hardware.numCPU,
        "cores_per_socket": config.hardware.numCoresPerSocket,
        "memory_mb": config.hardware.memoryMB,
        "settings": _settings(config),
        "tools": _some(config.tools, _TOOLS),
        "power": _some(config.defaultPowerOps, _POWER),
        "extra_config": options,
        "vapp": vapp,
        "secrets_left_out": secret + vapp_secret,
        "files": {"vmx": config.files.vmPathName, "nvram": _nvram(config)},
        "encrypted": config.keyId is not None,
        "devices": devices,
        "slots": {str(key): slot for key, slot in slots.items()},
        "names": _names(session, devices, of_vm),
        "place": {name: to_plain(of_vm.get(name)) for name in _PLACE},
        "attributes": _attributes(session, of_vm),
        "policies": policies.of_machine(vm, slots) if policies else {},
        "tags": (tags.of_machines([vm._moId]) if tags else {}).get(vm._moId, []),
    }


_PLACE = ("runtime.host", "resourcePool", "parent")


def _settings(config: t.Any) -> dict[str, t.Any]:
    found = {name: to_plain(getattr(config, name, None)) for name in SAME}
    return {name: value for name, value in found.items() if value not in (None, [])}


def _some(value: t.Any, fields: tuple[str, ...]) -> dict[str, t.Any]:
    """Those that can be set again; the rest tells how things were at one moment."""
    found = {name: to_plain(getattr(value, name, None)) for name in fields}
    return {name: each for name, each in found.items() if each is not None}


def _nvram(config: t.Any) -> str | None:
    """`[datastore] path` of the file with the firmware's variables."""
    options = {str(each.key).lower(): str(each.value) for each in config.extraConfig or ()}
    folder = str(config.files.vmPathName).rpartition("/")[0]
    return f"{folder}/{options['nvram']}" if "nvram" in options else None


def _names(
    session: Session, devices: list[dict[str, t.Any]], of_vm: dict[str, t.Any]
) -> dict[str, str]:
    """What the managed objects are called that the devices, and the place, refer to.

    A distributed port group is found by its key, which is its id.
    """
    wanted = set(_references([devices, [to_plain(of_vm.get(name)) for name in _PLACE]]))
    groups = {f"DistributedVirtualPortgroup:{key}" for key in _portgroups(devices)}
    vim, stub = libraries.vim(), session.content.rootFolder._stub
    found = {}
    for reference in sorted(wanted | groups):
        kind, _colon, moref = reference.partition(":")
        space = vim.dvs if kind == "DistributedVirtualPortgroup" else vim
        target = getattr(space, kind)(moref, stub)
        for _ref, row in collect(session, type(target), ("name",), objects=[target]):
            found[reference] = str(row["name"])
    return found


def _references(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, dict):
        if REFERENCE in value:
            yield value[REFERENCE]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _portgroups(devices: list[dict[str, t.Any]]) -> t.Iterator[str]:
    for device in devices:
        port = device.get("backing", {}).get("port") or {}
        if port.get("portgroupKey"):
            yield port["portgroupKey"]


def _attributes(session: Session, of_vm: dict[str, t.Any]) -> dict[str, str]:
    """Custom attributes by their names."""
    manager = session.content.customFieldsManager
    if manager is None or not of_vm.get("customValue"):
        return {}
    names = {each.key: each.name for each in properties(session, manager, ("field",))["field"]}
    return {
        str(names[each.key]): str(each.value)
        for each in of_vm["customValue"]
        if each.key in names and each.value
    }
