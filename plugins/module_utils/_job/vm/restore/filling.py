# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Ways to a new machine whose disks have content."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ...._device.copy import copy
from ...._device.errors import TransportUnavailable, UnsupportedDisk
from ...._device.extent import Kind
from ...._device.transfer import Transfer
from ...._transport.datastore import (
    TRANSPORT,
    DatastoreDevice,
    plain_extent,
    read_descriptor,
    upload,
)
from ...._vsphere.disks.disks import keeps_objects
from ...._vsphere.disks.folder import DatastoreFiles
from ...._vsphere.disks.paths import find_place, parse_disk
from .writing import attached, verify

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...._device.device import BlockDevice
    from ...._repository.read.reader import PointDevice
    from ...._vsphere.disks.paths import Place
    from ...._vsphere.snapshots.journal import Journal
    from ...plan import Result
    from .mapping import Pair
    from .scene import Scene

    Fill = Callable[[Scene, Journal, Pair], Result]

_NOTHING = "nothing to send: it holds zeros only"


def fill_attached(scene: Scene, journal: Journal, pair: Pair) -> Result:
    """By HotAdd. Raises TransportUnavailable where this host cannot, DiskError."""
    request = scene.request
    with scene.open(pair.point) as point:
        if is_empty(point):
            return _sent_nothing(point, "hotadd")
        with attached(scene, journal, pair) as device:
            label = scene.label(pair.slot)
            done = copy(point, device, target_is_zero=True, progress=request.progress, label=label)
            device.flush()
            if request.verify:
                verify(point, device, pair.path)
    reason = "attached to this host"
    return dataclasses.replace(done, transport="hotadd", transport_reason=reason).as_dict()


def fill_over_https(scene: Scene, _journal: Journal, pair: Pair) -> Result:
    """The whole disk is sent; one of zeros is as it was made. Raises UnsupportedDisk where a
    datastore keeps objects, DiskError."""
    request = scene.request
    place = find_place(scene.session, parse_disk(pair.path))
    if keeps_objects(scene.session, place):
        raise UnsupportedDisk(
            "nothing can be sent to this datastore: it keeps disks as objects and not as files",
            path=pair.path,
        )
    with scene.open(pair.point) as point, _files(scene) as files:
        if is_empty(point):
            return _sent_nothing(point, TRANSPORT)
        descriptor = read_descriptor(files, place)
        extent = place.named(plain_extent(pair.path, descriptor))
        done = upload(point, files, extent, pair.size, request.progress)
        if request.verify:
            verify(point, _device(scene, files, place), pair.path)
    return done.as_dict()


def verify_over_https(scene: Scene, pair: Pair) -> None:
    """What came there by another road. Raises DigestMismatch, UnsupportedDisk, DiskError."""
    place = find_place(scene.session, parse_disk(pair.path))
    try:
        with scene.open(pair.point) as point, _files(scene) as files:
            verify(point, _device(scene, files, place), pair.path)
    except (TransportUnavailable, UnsupportedDisk) as error:
        error.hint = (
            "It cannot be read to verify it. Leave out verify, or put hotadd first in transport."
        )
        raise


def is_empty(point: PointDevice) -> bool:
    """Whether it reads as zeros from its start to its end."""
    return all(extent.kind is Kind.ZERO for extent in point.extents())


def _device(scene: Scene, files: DatastoreFiles, place: Place) -> BlockDevice:
    return DatastoreDevice(scene.session, files, place, read_descriptor(files, place))


@contextlib.contextmanager
def _files(scene: Scene) -> Iterator[DatastoreFiles]:
    files = DatastoreFiles(scene.session)
    try:
        yield files
    finally:
        files.close()


def _sent_nothing(point: PointDevice, transport: str) -> Result:
    done = Transfer(bytes_total=point.size, transport=transport, transport_reason=_NOTHING)
    done.bytes_zero = point.size
    return done.finish().as_dict()
