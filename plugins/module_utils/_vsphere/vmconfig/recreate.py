# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A new VM out of a recorded configuration, with empty disks of the recorded sizes."""

from __future__ import annotations

import contextlib
import typing as t

from ..._device.errors import DiskError
from ..connection import tasks
from ..machine.discard import discard
from .devices import LEFT_OUT, kind_of
from .finish import set_attributes, set_boot_order
from .identity import check_identity
from .placement import Found
from .spec import check_format, make_spec

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..connection.session import Session
    from ..inventory.policies import Policies
    from ..inventory.tags import Tags
    from .placement import Placement

    Create = Callable[[t.Any], t.Any]  # of a vim.vm.ConfigSpec the VM


def recreate(
    session: Session,
    document: dict[str, t.Any],
    placement: Placement,
    *,
    tags: Tags | None = None,
    policies: Policies | None = None,
    options: Sequence[t.Any] = (),
    create: Create | None = None,
) -> tuple[t.Any, list[str]]:
    """The VM, switched off, and in words what of the recorded one it does not have.

    `options` are set as well (extraConfig); `create` makes it in another way than with empty disks.
    If it cannot be finished, it is removed again, unless somebody uses it. Raises InvalidRequest
    where another VM has an id or an address that is to be kept, DiskError.
    """
    check_format(document)
    check_identity(session, document, placement)
    profiles = _profiles(document, policies)
    found = Found(session, placement)
    spec = make_spec(document, placement, found, profiles=profiles)
    spec.extraConfig = [*spec.extraConfig, *options]
    vm = create(spec) if create else _create(session, spec, placement)
    try:
        unknown = _finish(session, vm, document, tags)
    except BaseException:
        with contextlib.suppress(DiskError):  # what went wrong first is to be heard of
            discard(session, vm, spec)
        raise
    told = [f"tag {each}: there is no such tag" for each in unknown]
    told += [
        f"storage policy {recorded['name']} of {what}: there is none of that name"
        for what, recorded in document["policies"].items()
        if what not in profiles
    ]
    return vm, missing(document) + told


def _create(session: Session, spec: t.Any, placement: Placement) -> t.Any:
    what = f"create the VM {spec.name}"
    create = placement.folder.CreateVM_Task
    task = session.call(lambda: create(spec, placement.pool, placement.host), what)
    return tasks.wait(session, task, what, spec.name)


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
    set_boot_order(session, vm, document)
    set_attributes(session, vm, document["attributes"])
    return [] if tags is None else tags.attach(str(vm._moId), document["tags"])


def _profiles(document: dict[str, t.Any], policies: Policies | None) -> dict[str, str]:
    """The ids of the recorded policies here, as far as there are such."""
    if policies is None:
        return {}
    found = {what: policies.find(recorded) for what, recorded in document["policies"].items()}
    return {what: profile for what, profile in found.items() if profile is not None}
