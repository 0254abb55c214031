# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A new VM out of a recorded configuration, with empty disks of the recorded sizes."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError
from ..connection import libraries, tasks
from ..connection.collect import properties
from .devices import LEFT_OUT, kind_of
from .identity import check_identity
from .normal import addresses
from .placement import Found
from .plain import from_plain, to_plain
from .spec import check_format, make_spec

if t.TYPE_CHECKING:
    from ..connection.session import Session
    from ..inventory.policies import Policies
    from ..inventory.tags import Tags
    from .placement import Placement


def recreate(
    session: Session,
    document: dict[str, t.Any],
    placement: Placement,
    *,
    tags: Tags | None = None,
    policies: Policies | None = None,
) -> tuple[t.Any, list[str]]:
    """The VM, switched off, and in words what of the recorded one it does not have.

    If it cannot be finished, it is removed again. Raises InvalidRequest where another VM has an id
    or an address that is to be kept, DiskError.
    """
    check_format(document)
    check_identity(session, document, placement)
    profiles = _profiles(document, policies)
    found = Found(session, placement)
    spec = make_spec(document, placement, found, profiles=profiles)
    what = f"create the VM {spec.name}"
    create = placement.folder.CreateVM_Task
    task = session.call(lambda: create(spec, placement.pool, placement.host), what)
    vm = tasks.wait(session, task, what, spec.name)
    try:
        unknown = _finish(session, vm, document, tags)
    except BaseException:
        _destroy(session, vm)
        raise
    told = [f"tag {each}: there is no such tag" for each in unknown]
    told += [
        f"storage policy {recorded['name']} of {what}: there is none of that name"
        for what, recorded in document["policies"].items()
        if what not in profiles
    ]
    return vm, missing(document) + told


def missing(document: dict[str, t.Any]) -> list[str]:
    """What is not made again, and why."""
    found = [
        f"{kind_of(each)}: {LEFT_OUT[kind_of(each)]}"
        for each in document["devices"]
        if kind_of(each) in LEFT_OUT
    ]
    found += [f"{name}: it may hold a secret" for name in document["secrets_left_out"]]
    if document["encrypted"]:
        found.append("encryption: choose an encrypting storage policy for the new VM")
    return found


def _finish(
    session: Session, vm: t.Any, document: dict[str, t.Any], tags: Tags | None
) -> list[str]:
    """The tags that are not there to be put on it."""
    _set_boot_order(session, vm, document)
    _set_attributes(session, vm, document["attributes"])
    return [] if tags is None else tags.attach(str(vm._moId), document["tags"])


def _profiles(document: dict[str, t.Any], policies: Policies | None) -> dict[str, str]:
    """The ids of the recorded policies here, as far as there are such."""
    if policies is None:
        return {}
    found = {what: policies.find(recorded) for what, recorded in document["policies"].items()}
    return {what: profile for what, profile in found.items() if profile is not None}


def _set_boot_order(session: Session, vm: t.Any, document: dict[str, t.Any]) -> None:
    """It names devices by their keys, and the new ones are known by their places only."""
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


def _set_attributes(session: Session, vm: t.Any, attributes: dict[str, str]) -> None:
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


def _destroy(session: Session, vm: t.Any) -> None:
    """It is ours, and empty: nothing was written to its disks yet."""
    try:
        task = session.call(vm.Destroy_Task, "remove the unfinished VM")
        tasks.wait(session, task, "remove the unfinished VM")
    except DiskError:
        pass  # what went wrong before is what the operator must hear of
