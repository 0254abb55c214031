# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Properties of a virtual machine, where it matters that one is missing."""

from __future__ import annotations

import typing as t

from ..._device.errors import AccessDenied, VSphereFault
from ..connection.collect import properties

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..connection.session import Session

_ALWAYS_SET = "runtime.connectionState"


def readable_properties(session: Session, vm: t.Any, paths: Sequence[str]) -> dict[str, t.Any]:
    """As properties(): what is missing is not there.

    Of a machine that may not be read, or whose host is away, nothing is shown either; that must not
    look like one without disks and snapshots. Raises AccessDenied, VSphereFault, ObjectNotFound, …
    """
    facts = properties(session, vm, (*paths, _ALWAYS_SET))
    state = facts.get(_ALWAYS_SET)
    if state is None:
        raise AccessDenied(
            "the virtual machine cannot be read",
            path=str(vm._moId),
            hint="Give the user System.Read on it.",
        )
    if state != "connected":
        raise VSphereFault(
            "vCenter does not know how the virtual machine is just now",
            path=str(facts.get("name", vm._moId)),
            found=state,
            expected="connected",
            hint="Look at its host and its datastore in vCenter.",
        )
    return facts
