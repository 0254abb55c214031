# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is known about a managed disk: the `disk` value of module results."""

from __future__ import annotations

import typing as t

from ..._transport.datastore import DatastoreDevice, read_descriptor
from ..._vmdk.descriptor.types import VMFS
from ..._vsphere.disks.browse import find_disks
from ..._vsphere.disks.fcd import is_first_class
from ..._vsphere.disks.users import users_of
from ..spec import MANAGED_TYPES

if t.TYPE_CHECKING:
    from ..._vmdk.descriptor.descriptor import Descriptor
    from ..._vsphere.disks.browse import FoundDisk
    from ..plan import Result

THIN, THICK, EAGER = MANAGED_TYPES
# vSphere tells thick disks from eagerly zeroed ones for virtual machines only. So we note it in the
# data base of disks that we zero, with the uuid: a copy, which has another one, is not meant.
EAGER_NOTE = "vdiskEagerZeroed"
_LONGEST_CHAIN = 64  # links; more is a circle


def describe_with_users(disk: DatastoreDevice) -> Result:
    """And which virtual machines need it. Raises DiskError."""
    users = users_of(disk.session, disk.place, disk.descriptor.get("ddb.uuid"))
    facts = {**describe_managed(disk), "users": [user.facts() for user in users]}
    if is_first_class(disk.name):
        from .first_class import facts_of_first_class

        facts.update(facts_of_first_class(disk.session, disk.name))
    return facts


def describe_managed(disk: DatastoreDevice) -> Result:
    """In the shape that hosted disks have. Raises DiskError."""
    found = find_disks(disk.session, disk.place, [disk.place.path.name])
    links = list(_links(disk))
    return _describe(links, found.get(disk.place.path.name))


def is_eager(descriptor: Descriptor) -> bool:
    """Whether we have zeroed this very disk."""
    note = descriptor.get(f"ddb.{EAGER_NOTE}")
    return note is not None and note == descriptor.get("ddb.uuid")


def _describe(links: list[tuple[str, Descriptor]], found: FoundDisk | None) -> Result:
    path, descriptor = links[0]
    metadata = {key: value for key, value in descriptor.metadata().items() if key != EAGER_NOTE}
    return {
        "path": path,
        "disk_type": disk_type(descriptor, found),
        "size": descriptor.sectors * 512,
        "allocated": found.allocated if found else None,
        "adapter_type": _lookup(links, "adapterType"),
        "hw_version": _number(_lookup(links, "virtualHWVersion")),
        "cid": _hex(descriptor.cid),
        "parent_cid": _hex(descriptor.parent_cid),
        "uuid": _lookup(links, "uuid"),
        "encoding": descriptor.get("encoding") or "UTF-8",
        "geometry": {
            name: _number(_lookup(links, f"geometry.{name}"))
            for name in ("cylinders", "heads", "sectors")
        },
        "metadata": metadata,
        "extents": [
            {
                "kind": line.kind,
                "access": line.access,
                "sectors": line.sectors,
                "path": line.name,
                "offset": line.offset or 0,
            }
            for line in descriptor.extents
        ],
        "chain": [name for name, _descriptor in links],
        "flags": [],
    }


def disk_type(descriptor: Descriptor, found: FoundDisk | None) -> str:
    """thin, thick or eagerZeroedThick; of other disks VMware's createType."""
    if descriptor.create_type != VMFS:
        return descriptor.create_type
    if descriptor.get("ddb.thinProvisioned") == "1" or (found is not None and found.thin):
        return THIN
    return EAGER if is_eager(descriptor) else THICK


def _links(disk: DatastoreDevice) -> t.Iterator[tuple[str, Descriptor]]:
    place, descriptor = disk.place, disk.descriptor
    yield str(place), descriptor
    for _number_of_link in range(_LONGEST_CHAIN):
        hint = descriptor.parent_hint
        if descriptor.parent_cid is None or hint is None:
            return
        place = place.named(hint)
        descriptor = read_descriptor(disk.files, place)
        yield str(place), descriptor


def _lookup(links: list[tuple[str, Descriptor]], key: str) -> str | None:
    """From the leaf up the chain (TN p.5)."""
    values = (descriptor.get(f"ddb.{key}") for _name, descriptor in links)
    return next((value for value in values if value is not None), None)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _hex(cid: int | None) -> str:
    return "ffffffff" if cid is None else f"{cid:08x}"
