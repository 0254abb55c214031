# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Whether a managed disk has the content of another disk, also where that cannot be read.

Redo logs of snapshots, and the objects of vSAN and vVols, are copied by vSphere alone. Then we note
in the copy what it was made of: the uuid and the content id of both, since a content id changes
with the first write to a disk (TN p.4).
"""

from __future__ import annotations

import typing as t

from ..._device.compare import compare
from ..._device.errors import UnsupportedDisk
from ..._device.slice import SliceDevice
from ..._transport.datastore import DatastoreDevice, plain_extent
from .describe import COPY_NOTE, cid_text

if t.TYPE_CHECKING:
    from ..._vmdk.descriptor.descriptor import Descriptor
    from ..._vsphere.disks.paths import Place
    from ..access import AnyDisk
    from ..plan import Result
    from .site import Site

_NOT_NOTED = (
    "What the disk was copied from could not be noted in it: where vSphere alone can read it, it"
    " cannot be told any more whether the two are alike."
)


def difference(source: AnyDisk, own: Result, present: DatastoreDevice) -> str | None:
    """In words; None if the contents are the same. `own` is how the source is described."""
    if is_readable(source) and is_readable(present):
        offset = compare(source, SliceDevice(present, 0, source.size))
        return None if offset is None else f"differs from the source from byte {offset} on"
    if present.descriptor.get(f"ddb.{COPY_NOTE}") == _origin(own, present.descriptor):
        return None
    return "nobody can tell whether it is a copy of the source: vSphere alone can read them"


def is_readable(disk: AnyDisk) -> bool:
    """Whether we can read its content, and not vSphere alone."""
    if not isinstance(disk, DatastoreDevice):
        return True
    try:
        plain_extent(disk.name, disk.descriptor)
    except UnsupportedDisk:
        return False
    return True


def note_origin(site: Site, place: Place, source: DatastoreDevice, own: Result) -> None:
    """In a copy of vSphere's, where a comparison will not be possible."""
    copied = site.device(place)
    if not (is_readable(source) and is_readable(copied)):
        site.note(place, COPY_NOTE, _origin(own, copied.descriptor), _NOT_NOTED)


def _origin(own: Result, copied: Descriptor) -> str:
    """A redo log has the uuid of its base, and a content id of its own."""
    return f"{own.get('uuid')} {own.get('cid')} {copied.get('ddb.uuid')} {cid_text(copied.cid)}"
