# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is set on a VM when it is there: its boot order, its custom attributes."""

from __future__ import annotations

import typing as t

from ..connection import libraries, tasks
from ..connection.collect import properties
from .normal import addresses
from .plain import from_plain, to_plain

if t.TYPE_CHECKING:
    from ..connection.session import Session


def set_boot_order(session: Session, vm: t.Any, document: dict[str, t.Any]) -> None:
    """It names devices by their keys, and the new ones are known by their places only.

    Raises DiskError.
    """
    recorded = document["settings"].get("bootOptions")
    if recorded is None:
        return
    path = "config.hardware.device"
    devices = [to_plain(each) for each in properties(session, vm, (path,))[path]]
    now = {address: key for key, address in addresses(devices).items()}
    keys = {
        key: now[address]
        for key, address in addresses(document["devices"]).items()
        if address in now
    }
    options = from_plain(recorded)
    options.bootOrder = [each for each in options.bootOrder if _moved(each, keys)]
    what = "set its boot options"
    spec = libraries.vim().vm.ConfigSpec(bootOptions=options)
    tasks.wait(session, session.call(lambda: vm.ReconfigVM_Task(spec), what), what)


def _moved(device: t.Any, keys: dict[int, int]) -> bool:
    """Whether a device of the boot order is there, now with its new key."""
    if not hasattr(device, "deviceKey"):
        return True  # "the CD", without saying which
    there = device.deviceKey in keys
    device.deviceKey = keys.get(device.deviceKey, device.deviceKey)
    return there


def set_attributes(session: Session, vm: t.Any, attributes: dict[str, str]) -> None:
    """Custom attributes, which are made where there are none of that name. Raises DiskError."""
    if not attributes:
        return
    manager, what = session.content.customFieldsManager, "set its custom attributes"
    fields = {each.name: each.key for each in properties(session, manager, ("field",))["field"]}
    for name, value in attributes.items():
        if name not in fields:
            kind = libraries.vim().VirtualMachine
            made = session.call(_bound(manager.AddCustomFieldDef, name, kind), what)
            fields[name] = made.key
        session.call(_bound(manager.SetField, vm, fields[name], value), what)


def _bound(method: t.Any, *arguments: t.Any) -> t.Callable[[], t.Any]:
    return lambda: method(*arguments)
