# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A managed disk and all that it stands on: the engine's formats, read from datastores."""

from __future__ import annotations

import itertools
import typing as t

from .._device.errors import ChainMismatch
from .._vmdk.descriptor.support import require_supported
from .._vmdk.extents.flat import flat_extent
from .._vmdk.extents.header import SECTOR
from .._vmdk.opening.chain import part_of_parent
from .._vmdk.opening.family import check_parent
from .._vmdk.opening.kinds import ExtentRequest, sparse_extent
from .datastore import PLAIN, one_file, read_descriptor
from .remote_file import RemoteFile

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.device import Device
    from .._vmdk.descriptor.descriptor import Descriptor
    from .._vsphere.disks.folder import DatastoreFiles
    from .._vsphere.disks.paths import Place

_REDO = ("SESPARSE", "VMFSSPARSE", "SPARSE")


class Link(t.NamedTuple):
    """One disk of a chain."""

    place: Place
    descriptor: Descriptor


def read_links(files: DatastoreFiles, places: Sequence[Place]) -> list[Link]:
    """The descriptors of a chain, the disk itself first. Raises ChainMismatch, DiskInUse, …"""
    links = [Link(place, read_descriptor(files, place)) for place in places]
    for link in links:
        require_supported(link.descriptor)
    for child, parent in itertools.pairwise(links):
        check_parent(child.descriptor, parent.descriptor)
    if links[-1].descriptor.parent_cid is not None:
        raise ChainMismatch(
            "stands on a disk that vSphere does not tell of",
            path=str(links[-1].place),
            found=links[-1].descriptor.parent_hint,
            hint="Use another transport.",
        )
    return links


def open_links(files: DatastoreFiles, links: Sequence[Link]) -> Device:
    """That parts of each file can be read is known then. Raises DiskInUse, TransportUnavailable, …

    The connections of `files` are used for as long as the device is.
    """
    device = _open_base(files, links[-1])
    for link in reversed(links[:-1]):
        device = _open_redo(files, link, device)
    return device


def _open_base(files: DatastoreFiles, link: Link) -> Device:
    name = one_file(str(link.place), link.descriptor, PLAIN)
    return flat_extent(RemoteFile(files, link.place.named(name)), link.descriptor.extents[0])


def _open_redo(files: DatastoreFiles, link: Link, parent: Device) -> Device:
    name = one_file(str(link.place), link.descriptor, _REDO)
    line = link.descriptor.extents[0]
    request = ExtentRequest(
        line=line,
        path=None,
        disk=str(link.place),
        writable=False,
        inherits=True,
        parent=part_of_parent(parent, 0, line.sectors * SECTOR),
        embedded=None,
    )
    return sparse_extent(request, RemoteFile(files, link.place.named(name)))
