# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices of a virtual machine, as elements of its configuration."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement

from ..soap import XSI_TYPE, Xml, markup

# The fields of a backing in the order of its type: some readers insist on it.
_ORDER = [
    "fileName", "datastore", "backingObjectId", "diskMode", "split", "writeThrough",
    "thinProvisioned", "eagerlyScrub", "lunUuid", "deviceName", "compatibilityMode",
    "uuid", "contentId", "changeId", "parent", "deltaDiskFormat", "digestEnabled",
]  # fmt: skip


class VirtualDisk:
    """One disk, a view of its element: what is set here is set there."""

    def __init__(self, element: Element) -> None:
        self.element = element

    @property
    def key(self) -> int:
        return int(self.element.findtext("key", "0"))

    @property
    def controller(self) -> int:
        return int(self.element.findtext("controllerKey", "0"))

    @property
    def unit(self) -> int | None:
        text = self.element.findtext("unitNumber")
        return None if text is None else int(text)

    @property
    def capacity(self) -> int:
        """Bytes."""
        return capacity_of(self.element)

    @capacity.setter
    def capacity(self, size: int) -> None:
        put(self.element, "capacityInKB", str(size // 1024))
        put(self.element, "capacityInBytes", str(size))

    @property
    def backing(self) -> Element:
        found = self.element.find("backing")
        return Element("backing") if found is None else found

    @property
    def path(self) -> str:
        return self.backing.findtext("fileName", "")

    @property
    def mode(self) -> str:
        return self.backing.findtext("diskMode", "persistent")

    @property
    def multi_writer(self) -> bool:
        """Whether several machines may write to it."""
        return self.backing.findtext("sharing") == "sharingMultiWriter"

    @property
    def change_id(self) -> str:
        return self.backing.findtext("changeId", "")

    @change_id.setter
    def change_id(self, value: str) -> None:
        put(self.backing, "changeId", value)

    @property
    def in_snapshots(self) -> bool:
        """Independent disks and physical RDMs stay as they are (vsphere.md 1)."""
        physical = self.backing.findtext("compatibilityMode") == "physicalMode"
        return bool(self.path) and not self.mode.startswith("independent") and not physical

    def chain(self) -> list[str]:
        """Paths of the files, top … base."""
        paths, backing = [], self.element.find("backing")
        while backing is not None and backing.findtext("fileName"):
            paths.append(backing.findtext("fileName", ""))
            backing = backing.find("parent")
        return paths

    def rechain(self, paths: list[str]) -> None:
        """Makes the backing name these files, top … base; all else stays."""
        top = self.backing
        for old in top.findall("parent"):
            top.remove(old)
        plain = copy.deepcopy(top)
        for gone in ("changeId", "deltaDiskFormat"):
            put(plain, gone, "")
        child = top
        put(top, "fileName", paths[0])
        put(top, "deltaDiskFormat", "seSparseFormat" if len(paths) > 1 else "")
        for path in paths[1:]:
            parent = copy.deepcopy(plain)
            parent.tag = "parent"
            put(parent, "fileName", path)
            child.append(parent)
            _sort(child)
            child = parent

    def copy(self) -> VirtualDisk:
        return VirtualDisk(copy.deepcopy(self.element))


def capacity_of(device: Element) -> int:
    """Bytes: a specification may give either unit."""
    exact = int(device.findtext("capacityInBytes") or 0)
    return exact or int(device.findtext("capacityInKB") or 0) * 1024


def put(parent: Element, name: str, text: str) -> None:
    """Sets a child's text; none at all when it is empty."""
    child = parent.find(name)
    if not text:
        if child is not None:
            parent.remove(child)
        return
    if child is None:
        child = SubElement(parent, name)
        _sort(parent)
    child.text = text


def is_disk(device: Element) -> bool:
    return device.get(XSI_TYPE) == "VirtualDisk"


def disks_of(devices: Iterable[Element]) -> list[VirtualDisk]:
    return [VirtualDisk(device) for device in devices if is_disk(device)]


def disk_changes(spec: Element) -> list[Element]:
    """The deviceChange entries of a specification that are about disks."""
    return [
        change
        for change in spec.findall("deviceChange")
        if (device := change.find("device")) is not None and is_disk(device)
    ]


def as_value(devices: Iterable[Element]) -> Xml:
    """As the value of `config.hardware.device`."""
    value = Element("val", {XSI_TYPE: "ArrayOfVirtualDevice"})
    for device in devices:
        device.tag = "VirtualDevice"
        value.append(device)
    return markup(value)


def _sort(backing: Element) -> None:
    if backing.tag in ("backing", "parent"):
        order = {name: number for number, name in enumerate(_ORDER)}
        backing[:] = sorted(backing, key=lambda each: order.get(each.tag, len(order)))
