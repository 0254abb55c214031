# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VirtualDiskManager: disks made, copied, moved, grown and deleted with what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..handlers import handles
from ..images import BLOCK, Disk
from ..soap import Call, Fault, Reply, Xml, reply, returnval, tag, task_reply
from ..tasks import result
from . import content
from .changes import invalid
from .locks import refuse_change, refuse_reading

if TYPE_CHECKING:
    from ..simulator import Simulator

ADAPTERS = {"lsiLogic": "lsilogic", "busLogic": "buslogic", "ide": "ide"}
SECTOR = 512


def _task(simulator: Simulator, call: Call, work: Callable[[], Xml | None]) -> Reply:
    entity = simulator.world.datacenter_reference
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


@handles("CreateVirtualDisk_Task")
def create(simulator: Simulator, call: Call) -> Reply:
    def work() -> Xml:
        path = _path(simulator, call, "name")
        _refuse_existing(simulator, path, force=False)
        size = int(call.text("spec/capacityKb", "0")) * 1024
        if size <= 0:
            raise invalid("spec.capacityKb")
        kind = call.text("spec/diskType", "thin")
        content.create(simulator, path, size, kind, adapter=_adapter(call, "spec"))
        return result(path)

    return _task(simulator, call, work)


@handles("CopyVirtualDisk_Task")
def copy(simulator: Simulator, call: Call) -> Reply:
    def work() -> Xml:
        source, target = _path(simulator, call, "sourceName"), _path(simulator, call, "destName")
        image = _image(simulator, source)
        refuse_reading(simulator, source)
        _refuse_existing(simulator, target, force=call.text("force") == "true")
        content.copy(
            simulator,
            image,
            target,
            call.text("destSpec/diskType") or content.kind_of(simulator, image),
            adapter=_adapter(call, "destSpec") or content.adapter_of(image),
        )
        return result(target)

    return _task(simulator, call, work)


@handles("MoveVirtualDisk_Task")
def move(simulator: Simulator, call: Call) -> Reply:
    def work() -> Xml:
        source, target = _path(simulator, call, "sourceName"), _path(simulator, call, "destName")
        _image(simulator, source)
        refuse_change(simulator, source)
        _refuse_existing(simulator, target, force=call.text("force") == "true")
        content.move(simulator, source, target)
        return result(target)

    return _task(simulator, call, work)


@handles("DeleteVirtualDisk_Task")
def delete(simulator: Simulator, call: Call) -> Reply:
    def work() -> None:
        path = _path(simulator, call, "name")
        _image(simulator, path)
        refuse_change(simulator, path)
        simulator.images.delete(path)

    return _task(simulator, call, work)


@handles("ExtendVirtualDisk_Task")
def extend(simulator: Simulator, call: Call) -> Reply:
    def work() -> None:
        path = _path(simulator, call, "name")
        image = _image(simulator, path)
        refuse_change(simulator, path)
        size = int(call.text("newCapacityKb", "0")) * 1024
        if size < image.size:
            raise invalid("newCapacityKb")
        eager = content.kind_of(simulator, image) == "eagerZeroedThick"
        image.grow(size)
        if eager or call.text("eagerZero") == "true":
            content.fill(image)

    return _task(simulator, call, work)


@handles("InflateVirtualDisk_Task", "EagerZeroVirtualDisk_Task", "ZeroFillVirtualDisk_Task")
def thicken(simulator: Simulator, call: Call) -> Reply:
    """Inflate makes a thin disk thick, with all its blocks there; the others write zeros."""

    def work() -> None:
        image = _changeable(simulator, call)
        if call.method == "ZeroFillVirtualDisk_Task":
            for block in range(-(-image.size // BLOCK)):
                start = block * BLOCK
                image.write(start, bytes(min(BLOCK, image.size - start)))
        content.set_kind(simulator, image, "eagerZeroedThick")
        content.fill(image)

    return _task(simulator, call, work)


@handles("DefragmentVirtualDisk_Task", "ShrinkVirtualDisk_Task")
def tidy(simulator: Simulator, call: Call) -> Reply:
    """Both are for hosted and sparse disks; on a datastore only zeroed blocks can be given back."""

    def work() -> None:
        image = _changeable(simulator, call)
        thin = content.kind_of(simulator, image) == "thin"
        if call.method == "ShrinkVirtualDisk_Task" and thin:
            content.punch(simulator, image)

    return _task(simulator, call, work)


@handles("QueryVirtualDiskFragmentation")
def fragmentation(simulator: Simulator, call: Call) -> Reply:
    """Percent: how many of the allocated areas are not where the one before ends."""
    image = _image(simulator, _path(simulator, call, "name"))
    held = image.allocated()
    pieces = len(list(held.runs()))
    return returnval(call, 100 * max(0, pieces - 1) // max(1, len(held)))


@handles("QueryVirtualDiskGeometry")
def geometry(simulator: Simulator, call: Call) -> Reply:
    image = _image(simulator, _path(simulator, call, "name"))
    database = image.layers[0].descriptor.database
    return returnval(
        call,
        tag("cylinder", max(1, image.size // (255 * 63 * SECTOR))),
        tag("head", database.get("ddb.geometry.heads", "255")),
        tag("sector", database.get("ddb.geometry.sectors", "63")),
    )


@handles("QueryVirtualDiskUuid")
def uuid(simulator: Simulator, call: Call) -> Reply:
    """As the descriptor spells it: `60 00 C2 9…-…`."""
    path = _path(simulator, call, "name")
    base = _image(simulator, path).layers[0]
    return returnval(call, base.descriptor.database.get("ddb.uuid", ""))


@handles("SetVirtualDiskUuid")
def set_uuid(simulator: Simulator, call: Call) -> Reply:
    image = _changeable(simulator, call)
    digits = "".join(each for each in call.text("uuid") if each.isalnum()).lower()
    if len(digits) != 32 or not all(each in "0123456789abcdef" for each in digits):
        raise invalid("uuid")
    pairs = [digits[i : i + 2] for i in range(0, 32, 2)]
    base = image.layers[0]
    base.descriptor.database["ddb.uuid"] = " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])
    base.save()
    return reply(call)


def _changeable(simulator: Simulator, call: Call) -> Disk:
    path = _path(simulator, call, "name")
    image = _image(simulator, path)
    refuse_change(simulator, path)
    return image


def _path(simulator: Simulator, call: Call, name: str) -> str:
    path = call.text(name)
    datastore = path[1:].partition("]")[0] if path.startswith("[") else ""
    try:
        simulator.images.file(path)
    except ValueError:
        raise Fault(
            "InvalidDatastorePath", f"Invalid datastore path '{path}'.", tag("datastorePath", path)
        ) from None
    if datastore not in simulator.world.datastores:
        raise Fault("InvalidDatastore", f"Invalid datastore '{datastore}'.", tag("name", datastore))
    return path


def _image(simulator: Simulator, path: str) -> Disk:
    try:
        return simulator.images.open(path)
    except OSError:
        raise Fault("FileNotFound", f"File {path} was not found", tag("file", path)) from None
    except (ValueError, KeyError):
        raise Fault(
            "InvalidDiskFormat", f"{path} is not a virtual disk", tag("file", path)
        ) from None


def _refuse_existing(simulator: Simulator, path: str, *, force: bool) -> None:
    file = simulator.images.file(path)
    if not os.path.isdir(os.path.dirname(file)):
        raise Fault("FileNotFound", f"File {path} was not found", tag("file", path))
    if os.path.exists(file):
        if not force:
            raise Fault(
                "FileAlreadyExists",
                f"Cannot complete the operation because the file or folder {path} already exists",
                tag("file", path),
            )
        refuse_change(simulator, path)
        simulator.images.delete(path)


def _adapter(call: Call, spec: str) -> str:
    return ADAPTERS.get(call.text(f"{spec}/adapterType"), call.text(f"{spec}/adapterType"))
