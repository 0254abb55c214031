# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How a VM that was made again differs from the recorded one, and which of that is intended."""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from .devices import LEFT_OUT
from .normal import flatten
from .placement import KEEP

if t.TYPE_CHECKING:
    from .placement import Placement


@dataclasses.dataclass(frozen=True)
class Difference:
    """One value; None where there is none. `intended` is the reason; None: nobody wanted it."""

    path: str
    recorded: t.Any
    found: t.Any
    intended: str | None


def differences(
    recorded: dict[str, t.Any], found: dict[str, t.Any], placement: Placement | None
) -> list[Difference]:
    """Between two documents of record(), by path. Without placement, of the very same VM."""
    before, after = flatten(recorded), flatten(found)
    reasons = [*_IN_PLACE] if placement is None else [*_INTENDED, *_chosen(placement)]
    return [
        Difference(path, before.get(path), after.get(path), _why(path, before, placement, reasons))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


_INTENDED = (
    ("files.*", "a new VM has files of its own"),
    ("devices.VirtualDisk *.backing._type", "new disks are flat files"),
    ("devices.VirtualDisk *.backing.fileName", "a new VM has files of its own"),
    ("devices.VirtualDisk *.backing.datastore.*", "a new VM has files of its own"),
    ("devices.VirtualDisk *.backing.split", "vSphere decides about it"),
    ("devices.VirtualDisk *.vDiskId*", "a new disk is no first-class disk"),
    ("devices.VirtualDisk *.virtualDiskFormat", "vSphere decides about it"),
    ("devices.VirtualCdrom *.backing.*", "no medium is put in"),
    ("devices.VirtualCdrom *.connectable.*", "no medium is put in"),
    ("devices.*.connectable.connected", "it is switched off"),
    ("devices.*.addressType", "how an address was given is not how it is kept"),
    ("secrets_left_out*", "secrets are not recorded"),
    ("encrypted", "a storage policy encrypts"),
    *(((f"devices.{kind} *", why)) for kind, why in LEFT_OUT.items()),
)


_IN_PLACE = (
    ("devices.*.connectable.connected", "it is switched off"),
    ("devices.VirtualDisk *.backing.fileName", "its snapshots are others now"),
)


def _chosen(placement: Placement) -> t.Iterator[tuple[str, str]]:
    """What was asked for."""
    if placement.name is not None:
        yield "name", "another name was asked for"
    if placement.mac != KEEP:
        yield "devices.*.macAddress", "new addresses were asked for"
    if placement.uuid != KEEP:
        yield "uuid", "new ids were asked for"
        yield "instance_uuid", "new ids were asked for"
        yield "devices.VirtualDisk *.backing.uuid", "new ids were asked for"


def _why(
    path: str,
    before: dict[str, t.Any],
    placement: Placement | None,
    reasons: list[tuple[str, str]],
) -> str | None:
    if path.startswith("extra_config.") and path not in before:
        return "vSphere's own" if placement else "set since, by vSphere or by somebody"
    network_map = {} if placement is None else placement.network_map
    if placement and path.endswith(".backing.thinProvisioned") and path not in before:
        return "new disks are flat files"
    if path.endswith(".network") and before.get(path) in network_map:
        return "another network was asked for"
    return next((why for pattern, why in reasons if fnmatch.fnmatchcase(path, pattern)), None)
