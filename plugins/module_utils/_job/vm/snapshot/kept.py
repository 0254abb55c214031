# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Snapshots that outlive the job that made them.

Until it is complete, such a snapshot has the name of a run, and a sweep removes it. Then it is
renamed, and its description says who made it. What has no such description is somebody else's.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ...._device.errors import DiskExists, InvalidRequest
from ...._vsphere.connection.names import plain
from ...._vsphere.machine.tree import all_snapshots
from ...._vsphere.snapshots.naming import PREFIX
from ...._vsphere.snapshots.quiesce import Level

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...plan import Result

_MAKER = "vdisk.lifecycle"
_ON = "poweredOn"


@dataclasses.dataclass(frozen=True)
class Note:
    """What the description tells: how much at rest the guest was, and whether it ran."""

    level: str
    power_state: str
    run: str
    host: str
    time: str

    def text(self) -> str:
        """JSON for programs, and plain enough for somebody who finds it in the client."""
        return json.dumps({"made_by": _MAKER, **dataclasses.asdict(self)})

    @property
    def was_on(self) -> bool:
        return self.power_state == _ON


@dataclasses.dataclass(frozen=True)
class Kept:
    """A snapshot of ours, as it stands in the tree."""

    node: t.Any
    note: Note

    def facts(self, vm: str) -> Result:
        """The `snapshot` value of results."""
        return {
            "vm": vm,
            "name": plain(self.node.name),
            "moref": str(self.node.snapshot._moId),
            "created": self.note.time,
            "level": self.note.level,
            "power_state": self.note.power_state,
        }


def refuse_name(name: str) -> None:
    """Raises InvalidRequest for a name that would look like that of a run, or be read as another:
    vSphere writes %25, %2f and %5c for %, / and a backslash."""
    if not name.strip() or name.startswith(PREFIX) or plain(name) != name:
        raise InvalidRequest(
            "that cannot be the name of a snapshot",
            found=repr(name),
            expected=f"a name that is not empty, does not begin with {PREFIX!r}, and has no %25,"
            " %2f or %5c in it",
        )


def find_kept(of_vm: Mapping[str, t.Any], vm: str, name: str) -> Kept | None:
    """The snapshot of that name. `of_vm` holds `snapshot`.

    Raises DiskExists where it is somebody else's, InvalidRequest where there are several.
    """
    nodes = [node for node in all_snapshots(of_vm) if plain(node.name) == name]
    if not nodes:
        return None
    if len(nodes) > 1:
        raise InvalidRequest(
            f"there are {len(nodes)} snapshots of the name {name}",
            path=vm,
            hint="Rename those that are not meant.",
        )
    note = note_of(nodes[0])
    if note is None:
        raise DiskExists(
            f"the snapshot {name} was not made by this module",
            path=vm,
            found=f"the description {str(nodes[0].description)[:80]!r}",
            hint="Use another name. Snapshots of others are not touched.",
        )
    return Kept(nodes[0], note)


def note_of(node: t.Any) -> Note | None:
    """None if the snapshot is not one of ours."""
    try:
        said = json.loads(node.description or "")
        if said.pop("made_by") != _MAKER:
            return None
        return Note(**{field.name: str(said[field.name]) for field in dataclasses.fields(Note)})
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def new_note(head: Mapping[str, t.Any], level: Level, power_state: str) -> Note:
    """Of the run whose journal begins with `head`."""
    run, host, time = (str(head.get(name)) for name in ("run", "host", "time"))
    return Note(level.value, power_state, run, host, time)
