# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Redo logs of a hosted disk: made, committed, emptied, put on another parent."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._device.errors import (
    ChainMismatch,
    DiskNotFound,
    InvalidRequest,
    MissingLink,
    UnsafePath,
)
from .._transport.reference import Road
from .._vmdk.opening.chain import open_disk
from .._vmdk.opening.family import children_of, refuse_with_children
from .._vmdk.redo.commit import check_commit, commit_child
from .._vmdk.redo.rebase import attach_child, rebase_child
from .._vmdk.redo.redo import check_revert, is_empty_child, redo_log_of, revert_child
from .inspect_disk import inspect
from .link_disk import plan_linked
from .plan import Plan, Result, nothing_to_do
from .requests import CopyRequest
from .spec import refuse_served

if t.TYPE_CHECKING:
    from .requests import SnapshotRequest


def plan_present(request: SnapshotRequest) -> Plan:
    """A child over the disk. Raises DiskExists where something else has its name."""
    path = _hosted(request, request.path)
    child = _child(request, path) or redo_log_of(path)
    link = CopyRequest(path, child, request.access, disk_type=request.disk_type)
    return plan_linked(link)


def plan_managed(request: SnapshotRequest, state: str) -> Plan:
    """The same for disks of vSphere: first-class disks have snapshots of their own."""
    # Imported here, as it needs what plain disks do not.
    from .managed.first_class import plan_first_class_snapshot

    return plan_first_class_snapshot(request, state)


def plan_absent(request: SnapshotRequest) -> Plan:
    """Commit the child into the disk; no child is fine."""
    path = _hosted(request, request.path)
    child = _child(request, path)
    if child is None or not os.path.lexists(child):
        state = _state(request, path)
        return nothing_to_do(state, {"disk": state, "removed": []})
    before = _require_family(request, child, path)
    check_commit(child, allow_outside=request.outside)
    with open_disk(child, single_link=True) as disk:
        files = disk.files()
    after: Result = {**before, "path": path, "chain": before["chain"][1:]}

    def apply() -> Result:
        label = os.path.basename(child)
        transfer = commit_child(
            child, allow_outside=request.outside, progress=request.progress, label=label
        )
        state = _state(request, path)
        return {"disk": state, "removed": files, "transfer": transfer.as_dict()}

    return Plan(before, after, {"disk": after, "removed": files}, apply)


def plan_reverted(request: SnapshotRequest) -> Plan:
    """An empty child."""
    path = _hosted(request, request.path)
    child = _require_child(request, path)
    before = _require_family(request, child, path)
    if is_empty_child(child) and before["size"] == _state(request, path)["size"]:
        return nothing_to_do(before, {"disk": before})
    refuse_with_children(child, "revert")
    check_revert(child, allow_outside=request.outside)
    return _plan(request, child, before, lambda: revert_child(child, allow_outside=request.outside))


def plan_rebased(request: SnapshotRequest) -> Plan:
    """The child of `path` on `parent`, with the content it has, or unsafe: with what it gets."""
    path = _hosted(request, request.path)
    if request.parent is None:
        raise InvalidRequest("to rebase a child, say its new parent")
    parent = _hosted(request, request.parent)
    child = _require_child(request, path, parent)
    if _is_on(request, child, parent):
        state = _state(request, child)
        return nothing_to_do(state, {"disk": state})
    if request.unsafe:
        return _plan_attach(request, child, parent)
    before = _require_family(request, child, path)
    refuse_with_children(child, "rebase")
    with open_disk(parent, allow_outside=request.outside) as disk:
        chain = [child, *(link.path for link in disk.links)]
    with open_disk(child, writable=True, allow_outside=request.outside):
        pass  # whatever forbids it is told now, in check mode too
    label = os.path.basename(child)
    moved: Result = {}

    def rebase() -> None:
        moved["bytes_written"] = rebase_child(
            child, parent, allow_outside=request.outside, progress=request.progress, label=label
        )

    plan = _plan(request, child, before, rebase, chain)
    return dataclasses.replace(plan, apply=lambda: {**_applied(plan), **moved})


def plan_attached(request: SnapshotRequest) -> Plan:
    """The child glued to the disk at `path`, which is proven to be its parent."""
    path = _hosted(request, request.path)
    child = _require_child(request, path)
    if _is_on(request, child, path):
        state = _state(request, child)
        return nothing_to_do(state, {"disk": state})
    return _plan_attach(request, child, path)


def _plan_attach(request: SnapshotRequest, child: str, parent: str) -> Plan:
    def attach(check_only: bool) -> None:
        attach_child(
            child,
            parent,
            parent_digest=request.parent_digest,
            unsafe=request.unsafe,
            check_only=check_only,
            allow_outside=request.outside,
        )

    attach(check_only=True)
    with open_disk(child, single_link=True) as disk:
        before = inspect(disk)
    with open_disk(parent, allow_outside=request.outside) as disk:
        chain = [child, *(link.path for link in disk.links)]
    return _plan(request, child, before, lambda: attach(check_only=False), chain)


def _plan(
    request: SnapshotRequest,
    child: str,
    before: Result,
    work: t.Callable[[], None],
    chain: list[str] | None = None,
) -> Plan:
    after: Result = {**before, "chain": chain or before["chain"]}

    def apply() -> Result:
        work()
        return {"disk": _state(request, child)}

    return Plan(before, after, {"disk": after}, apply)


def _applied(plan: Plan) -> Result:
    return {} if plan.apply is None else plan.apply()


# Which disks


def _hosted(request: SnapshotRequest, text: str) -> str:
    refuse_served(text)
    reference = request.access.parse(text)
    if reference.road is not Road.VMDK:
        raise InvalidRequest(
            f"{text}: only hosted VMDKs have redo logs",
            hint="A virtual machine on a host has snapshots of its own.",
        )
    return reference.text


def _child(request: SnapshotRequest, path: str) -> str | None:
    """The child that is named, or the only one beside the disk. Raises InvalidRequest."""
    if request.child is not None:
        return _hosted(request, request.child)
    children = children_of(os.path.realpath(path))
    if len(children) > 1:
        raise InvalidRequest(
            "has several children", path=path, found=", ".join(children), hint="Say which: child."
        )
    return children[0] if children else None


def _require_child(request: SnapshotRequest, path: str, other: str | None = None) -> str:
    child = _child(request, path)
    if child is None and other is not None:
        child = _child(request, other)
    if child is None or not os.path.lexists(child):
        raise DiskNotFound("is not there, or has no child", path=child or path)
    return child


def _require_family(request: SnapshotRequest, child: str, path: str) -> Result:
    """What is known of the child. Raises ChainMismatch where another disk is its parent."""
    with open_disk(child, allow_outside=request.outside) as disk:
        links = [link.path for link in disk.links]
        if len(links) > 1 and os.path.samefile(links[1], path):
            return inspect(disk)
    raise ChainMismatch(
        "is not a child of that disk",
        path=child,
        found=f"parent {links[1]}" if len(links) > 1 else "no parent",
        expected=f"parent {path}",
    )


def _is_on(request: SnapshotRequest, child: str, parent: str) -> bool:
    """Whether the chain is whole and leads to that parent."""
    try:
        with open_disk(child, allow_outside=request.outside) as disk:
            return len(disk.links) > 1 and os.path.samefile(disk.links[1].path, parent)
    except (MissingLink, ChainMismatch, UnsafePath):
        return False


def _state(request: SnapshotRequest, path: str) -> Result:
    with open_disk(path, allow_outside=request.outside) as disk:
        return inspect(disk)
