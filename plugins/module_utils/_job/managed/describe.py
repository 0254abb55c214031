# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is known about a managed disk: the `disk` value of module results."""

from __future__ import annotations

import typing as t

from ..._transport.datastore import DatastoreDevice, read_descriptor
from ..._vmdk.descriptor.types import VMFS
from ..._vsphere.disks.browse import find_disks
from ..spec import MANAGED_TYPES

if t.TYPE_CHECKING:
    from ..._vmdk.descriptor.descriptor import Descriptor
    from ..._vsphere.disks.browse import FoundDisk
    from ..._vsphere.disks.paths import Place
    from ..plan import Result

THIN, THICK, EAGER = MANAGED_TYPES
# vSphere tells thick disks from eagerly zeroed ones for virtual machines only. So we note it in the
# data base of disks that we zero, with the uuid: a copy, which has another one, is not meant.
EAGER_NOTE = "vdiskEagerZeroed"
NOT_NOTED = (
    "The disk is eagerly zeroed, but counts as thick from now on: this could not be noted in it."
)
COUNTS_AS_THICK = (
    "Whether the disk is eagerly zeroed cannot be told: it counts as thick. What makes sure is"
    " vmdk_convert."
)
COPY_NOTE = "vdiskCopyOf"  # see same_content.py
JOB_NOTE = "vdiskJob"  # see site.py
_LONGEST_CHAIN = 64  # links; more is a circle


def describe_managed(disk: DatastoreDevice) -> Result:
    """In the shape that hosted disks have. Raises DiskError."""
    found = find_disks(disk.session, disk.place, [disk.place.path.name])
    links = list(_links(disk))
    return _describe(links, found.get(disk.place.path.name))


def is_eager(descriptor: Descriptor) -> bool:
    """Whether we have zeroed this very disk."""
    note = descriptor.get(f"ddb.{EAGER_NOTE}")
    return note is not None and note == descriptor.get("ddb.uuid")


def with_new_uuid(before: Result, uuid: str) -> tuple[Result, list[str]]:
    """What `before` becomes, and what to know about it: our note counts for one uuid only, and is
    never written into a disk at its place, where a write that breaks off would cost the disk."""
    after = {**before, "uuid": uuid, "metadata": {**before["metadata"], "uuid": uuid}}
    if before["disk_type"] != EAGER:
        return after, []
    return {**after, "disk_type": THICK}, [NOT_NOTED]


def extent_path(place: Place, name: str | None) -> str | None:
    """Of what a descriptor at `place` names: a file of the datastore, or an object as it is."""
    if name is None or "://" in name:
        return name
    return str(place.named(name))


def _describe(links: list[tuple[Place, Descriptor]], found: FoundDisk | None) -> Result:
    place, descriptor = links[0]
    notes = (EAGER_NOTE, COPY_NOTE, JOB_NOTE)
    metadata = {key: value for key, value in descriptor.metadata().items() if key not in notes}
    return {
        "path": str(place),
        "disk_type": disk_type(descriptor, found),
        "size": descriptor.sectors * 512,
        "allocated": found.allocated if found else None,
        "adapter_type": _lookup(links, "adapterType"),
        "hw_version": _number(_lookup(links, "virtualHWVersion")),
        "cid": cid_text(descriptor.cid),
        "parent_cid": cid_text(descriptor.parent_cid),
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
                "path": extent_path(place, line.name),
                "offset": line.offset or 0,
            }
            for line in descriptor.extents
        ],
        "chain": [str(link) for link, _descriptor in links],
        "flags": [],
    }


def disk_type(descriptor: Descriptor, found: FoundDisk | None) -> str:
    """thin, thick or eagerZeroedThick; of other disks VMware's createType."""
    if descriptor.create_type != VMFS:
        return descriptor.create_type
    if descriptor.get("ddb.thinProvisioned") == "1" or (found is not None and found.thin):
        return THIN
    return EAGER if is_eager(descriptor) else THICK


def _links(disk: DatastoreDevice) -> t.Iterator[tuple[Place, Descriptor]]:
    place, descriptor = disk.place, disk.descriptor
    yield place, descriptor
    for _number_of_link in range(_LONGEST_CHAIN):
        hint = descriptor.parent_hint
        if descriptor.parent_cid is None or hint is None:
            return
        place = place.named(hint)
        descriptor = read_descriptor(disk.files, place)
        yield place, descriptor


def _lookup(links: list[tuple[Place, Descriptor]], key: str) -> str | None:
    """From the leaf up the chain (TN p.5)."""
    values = (descriptor.get(f"ddb.{key}") for _place, descriptor in links)
    return next((value for value in values if value is not None), None)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def cid_text(cid: int | None) -> str:
    """A content id as descriptors write it."""
    return "ffffffff" if cid is None else f"{cid:08x}"
