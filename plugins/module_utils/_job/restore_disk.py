# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk of a restore point to any place."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._device.errors import InvalidRequest
from .._transport.reference import Road
from .copy_disk import plan_copy
from .delta_disk import plan_delta

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .plan import Plan, Result
    from .requests import CopyRequest


def plan_restore(request: CopyRequest, *, delta: bool = False) -> Plan:
    """Compare with what is there; write only if it differs. `src` names the restore point.

    delta: in place, and only what differs, where a disk is there that allows it.
    """
    _refuse_own_place(request)
    point: Result = {"restore_point": request.access.find(request.src).point.as_dict()}
    # Pinned: `latest` must not become another point between plan and apply.
    pinned = dataclasses.replace(request, src=request.access.pin(request.src))
    in_place = delta and not request.access.is_managed(request.dest)
    plan = (plan_delta(pinned) if in_place else None) or plan_copy(pinned)
    return dataclasses.replace(
        plan,
        result={**plan.result, **point},
        apply=None if plan.apply is None else _with(plan.apply, point),
    )


def _refuse_own_place(request: CopyRequest) -> None:
    """What lies in a repository is the repository's; a disk among its packs would be swept up."""
    reference = request.access.parse(request.dest)
    if reference.road not in (Road.VMDK, Road.RAW):
        return
    place, root = map(os.path.realpath, (reference.text, request.access.open_repository().url))
    if os.path.commonpath((place, root)) == root:
        raise InvalidRequest(
            "a disk cannot be restored into the repository itself",
            path=reference.text,
            hint="Choose a dest outside of it.",
        )


def _with(apply: Callable[[], Result], more: Result) -> Callable[[], Result]:
    return lambda: {**apply(), **more}
