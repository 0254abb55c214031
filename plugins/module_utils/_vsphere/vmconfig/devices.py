# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Recorded devices as requests for new ones."""

from __future__ import annotations

import typing as t

from ..connection import libraries
from .placement import KEEP
from .plain import REFERENCE, TYPE, from_plain

if t.TYPE_CHECKING:
    from .placement import Found, Placement

    Device = dict[str, t.Any]

# Every VM has these from the start, always under the same keys.
BUILT_IN = {
    "VirtualPCIController", "VirtualPS2Controller", "VirtualSIOController", "VirtualIDEController",
    "VirtualKeyboard", "VirtualPointingDevice", "VirtualVideoCard", "VirtualVMCIDevice",
}  # fmt: skip
_BOUND = "it belongs to the host that the VM was on"
LEFT_OUT = {
    "VirtualPCIPassthrough": _BOUND,
    "VirtualSriovEthernetCard": _BOUND,
    "VirtualUSB": _BOUND,
    "VirtualSerialPort": _BOUND,
    "VirtualParallelPort": _BOUND,
    "VirtualFloppy": _BOUND,
    "VirtualSCSIPassthrough": _BOUND,
    "VirtualTPM": "its secrets stay with the original; BitLocker asks for its recovery key",
}
_DISK_BACKING = ("diskMode", "thinProvisioned", "eagerlyScrub", "writeThrough", "sharing")


class DeviceSpecs:
    """Of all devices of a document. Keys are negative until vSphere gives its own."""

    def __init__(
        self,
        document: dict[str, t.Any],
        placement: Placement,
        found: Found,
        profiles: dict[str, str],
    ) -> None:
        self._document, self._placement, self._found = document, placement, found
        self._profiles = profiles
        self._built_in = {each["key"] for each in document["devices"] if kind_of(each) in BUILT_IN}

    def all(self) -> list[t.Any]:
        """Raises ObjectNotFound, InvalidRequest."""
        wanted = (
            each
            for each in self._document["devices"]
            if kind_of(each) not in BUILT_IN and kind_of(each) not in LEFT_OUT
        )
        return [self._spec(each) for each in wanted]

    def _spec(self, recorded: Device) -> t.Any:
        kinds = libraries.vim().vm
        spec = kinds.device.VirtualDeviceSpec(operation="add", device=self._device(recorded))
        if kind_of(recorded) == "VirtualDisk":
            spec.fileOperation = "create"
            profile = self._profiles.get(self._document["slots"][str(recorded["key"])])
            if profile is not None:
                spec.profile = [kinds.DefinedProfileSpec(profileId=profile)]
        return spec

    def _device(self, recorded: Device) -> t.Any:
        backing = recorded.get("backing")
        made = from_plain({name: recorded[name] for name in recorded if name != "backing"})
        made.deviceInfo = None
        made.key = -recorded["key"]
        made.controllerKey = self._controller(recorded)
        if made.controllerKey is None:
            made.unitNumber = None
        if kind_of(recorded) == "VirtualDisk":
            made.backing = self._disk_backing(backing or {})
            made.vDiskId, made.iofilter = None, []
        elif kind_of(recorded) == "VirtualCdrom":
            kind = libraries.vim().vm.device.VirtualCdrom.RemotePassthroughBackingInfo
            made.backing = kind(deviceName="", exclusive=False)
        elif "macAddress" in recorded or "addressType" in recorded:
            self._card(made, recorded)
        elif backing is not None:
            made.backing = from_plain(backing)
        return made

    def _controller(self, recorded: Device) -> int | None:
        """None for those on the PCI bus: vSphere finds a place for them."""
        key: int | None = recorded.get("controllerKey")
        types = {each["key"]: kind_of(each) for each in self._document["devices"]}
        if key is None or types.get(key) in (None, "VirtualPCIController"):
            return None
        return key if key in self._built_in else -key

    def _disk_backing(self, recorded: Device) -> t.Any:
        """A new file beside the VM's, whatever the disk was made of."""
        kind = libraries.vim().vm.device.VirtualDisk.FlatVer2BackingInfo
        backing = kind(diskMode="persistent")
        if recorded.get(TYPE) != kind.__name__:  # such as raw devices: they know no thin or thick
            backing.thinProvisioned = True
        for name in _DISK_BACKING:
            if name in recorded:
                setattr(backing, name, recorded[name])
        if self._placement.uuid == KEEP and recorded.get("uuid"):
            backing.uuid = recorded["uuid"]
        backing.fileName = f"[{new_datastore(self._document, self._placement, recorded)}]"
        return backing

    def _card(self, made: t.Any, recorded: Device) -> None:
        made.backing = self._found.backing(network_of(self._document, recorded))
        if self._placement.mac == KEEP and recorded.get("macAddress"):
            made.addressType = "manual"  # or vSphere makes up another
        else:
            made.macAddress, made.addressType = None, "generated"


def kind_of(device: Device) -> str:
    """`VirtualDisk`, from vim.vm.device.VirtualDisk."""
    return str(device[TYPE]).rpartition(".")[2]


def datastore_of(path: str) -> str:
    """The name in `[name] path`."""
    return path.partition("]")[0].lstrip("[")


def new_datastore(document: dict[str, t.Any], placement: Placement, recorded: Device) -> str:
    """The name of the one that a disk with that backing is made on."""
    place = datastore_of(recorded.get("fileName") or document["files"]["vmx"])
    return placement.datastore_map.get(place, place)


def network_of(document: dict[str, t.Any], device: Device) -> str:
    """The name of the network that a card was on."""
    backing, names = device.get("backing") or {}, document["names"]
    port = backing.get("port") or {}
    if port.get("portgroupKey"):
        key = port["portgroupKey"]
        return str(names.get(f"DistributedVirtualPortgroup:{key}", key))
    reference = (backing.get("network") or {}).get(REFERENCE)
    known = names.get(reference) or backing.get("deviceName") or backing.get("opaqueNetworkId")
    return str(known)
