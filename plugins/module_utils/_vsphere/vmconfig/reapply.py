# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The recorded settings put on the VM that they were recorded of. Its devices stay as they are."""

from __future__ import annotations

import re
import typing as t

from ..connection import libraries, tasks
from ..connection.collect import properties
from .finish import set_attributes, set_boot_order
from .normal import addresses
from .plain import to_plain
from .spec import check_format, fill_settings

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..connection.session import Session
    from ..inventory.tags import Tags
    from .compare import Difference

_PARTS = re.compile(r"(cpus|cores_per_socket|memory_mb|(settings|tools|power|extra_config)\..+)")
_NOT = (  # what cannot be set back, or must not be: tracking has rules of its own
    "settings.version", "settings.changeTrackingEnabled", "settings.managedBy",
)  # fmt: skip


def can_reapply(difference: Difference) -> bool:
    """Whether reapply() puts it right: values that were recorded, and are others now."""
    path = difference.path
    if difference.intended is not None or difference.recorded is None or path.startswith(_NOT):
        return False
    return _PARTS.fullmatch(path) is not None or path.startswith(("attributes.", "tags."))


def unknown_tags(document: dict[str, t.Any], tags: Tags | None) -> list[str]:
    """Those that were recorded, and are no tags of this vCenter (any more)."""
    known = set() if tags is None else set(tags.labels.values())
    return [label for label in document["tags"] if label not in known]


def lost_boot_devices(document: dict[str, t.Any], devices: Sequence[t.Any]) -> list[str]:
    """The places of those in the recorded boot order that are not among the machine's devices."""
    there = set(addresses([to_plain(each) for each in devices]).values())
    recorded = addresses(document["devices"])
    order = (document["settings"].get("bootOptions") or {}).get("bootOrder") or ()
    places = [recorded.get(each["deviceKey"], "") for each in order if "deviceKey" in each]
    return [place for place in places if place not in there]


def reapply(session: Session, vm: t.Any, document: dict[str, t.Any], tags: Tags | None) -> None:
    """The VM is off. Raises DiskError."""
    check_format(document)
    version = properties(session, vm, ("config.changeVersion",)).get("config.changeVersion")
    spec = libraries.vim().vm.ConfigSpec(changeVersion=version)
    fill_settings(spec, document, leave_out=tuple(each.partition(".")[2] for each in _NOT))
    what = "set its configuration"
    tasks.wait(session, session.call(lambda: vm.ReconfigVM_Task(spec), what), what)
    set_boot_order(session, vm, document)
    set_attributes(session, vm, document["attributes"])
    if tags is not None:
        tags.attach(str(vm._moId), document["tags"])
