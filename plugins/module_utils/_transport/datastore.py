# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Managed disks that nobody writes: their content over HTTPS, and whole new ones the other way.

The libraries that this needs are imported where a vCenter is really used.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t

from .._device.device import Device, read
from .._device.errors import DiskInUse, TransportUnavailable, TruncatedDisk, UnsupportedDisk
from .._device.extent import Extent, Kind, pieces
from .._device.pipeline import ordered_map
from .._device.transfer import Transfer
from .._vmdk.descriptor.descriptor import Descriptor
from .._vmdk.descriptor.support import require_supported

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._device.device import BlockDevice
    from .._device.progress import Progress
    from .._vsphere.connection.session import Session
    from .._vsphere.connection.target import VCenter
    from .._vsphere.disks.folder import DatastoreFiles
    from .._vsphere.disks.paths import Place

SECTOR = 512
PIECE = 2 << 20  # bytes sent at once
CONNECTIONS = 2  # that read ahead of an upload
PLAIN = ("VMFS", "FLAT")
TRANSPORT = "datastore"


class DatastoreDevice(Device):
    """Read-only. What of a thin disk is a hole is not told, so all of it counts as data.

    Whether the content can be had at all is looked at when it is first asked for: what is known of
    a disk can be told in any case.
    """

    def __init__(
        self, session: Session, files: DatastoreFiles, place: Place, descriptor: Descriptor
    ) -> None:
        self.name = str(place)
        self.session, self.files, self.place = session, files, place
        self.descriptor = descriptor
        self.size = descriptor.sectors * SECTOR
        self._extent: Place | None = None
        self._looking = threading.Lock()

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Raises DiskInUse, UnsupportedDisk, TransportUnavailable, …"""
        self.check_range(offset, buffer.nbytes)
        if buffer.nbytes:
            self.files.readinto(self._content(), offset, buffer)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        """Raises what readinto() raises."""
        self._content()
        return super().extents(offset, length)

    def require_unchanged(self) -> None:
        """Where reading all of it has taken hours. Raises DiskInUse."""
        now = read_descriptor(self.files, self.place)
        if (now.cid, now.get("ddb.uuid")) != (self.descriptor.cid, self.descriptor.get("ddb.uuid")):
            raise DiskInUse(
                "was written to, or replaced, while it was read",
                path=self.name,
                hint="What was read is of no use. Do it again while no virtual machine has it.",
            )

    def close(self) -> None:
        self.files.close()

    def _content(self) -> Place:
        """The file that holds it, once it is sure that it can be read."""
        with self._looking:
            if self._extent is None:
                refuse_running(self.session, self.place, self.descriptor)
                extent = self.place.named(plain_extent(self.name, self.descriptor))
                _check_length(self.files.probe(extent), self.size, extent)
                self._extent = extent
            return self._extent


def open_datastore(vcenter: VCenter, text: str) -> DatastoreDevice:
    """The disk named `[datastore] path/disk.vmdk` or `[datastore] fcd:NAME`. Raises DiskError."""
    from .._vsphere.connection.shared import shared_session
    from .._vsphere.disks.fcd import parse_first_class, place_of_disk
    from .._vsphere.disks.folder import DatastoreFiles
    from .._vsphere.disks.paths import parse_disk

    is_first_class = parse_first_class(text) is not None
    if not is_first_class:
        parse_disk(text)  # what is wrong with it is told before anybody logs in
    session = shared_session(vcenter)
    place = place_of_disk(session, text)
    files = DatastoreFiles(session)
    device = DatastoreDevice(session, files, place, read_descriptor(files, place))
    if is_first_class:
        device.name = text
    return device


def read_descriptor(files: DatastoreFiles, place: Place) -> Descriptor:
    """Raises DiskNotFound, UnsupportedDisk, CorruptDisk."""
    data = files.read_small(place)
    if data.startswith((b"KDMV", b"COWD")):
        raise UnsupportedDisk(
            "is a hosted disk that was put on a datastore as a file; vSphere does not run it",
            path=str(place),
            hint="Download the file and clone it from there with vmdk_clone.",
        )
    return Descriptor(data, str(place))


def refuse_running(session: Session, place: Place, descriptor: Descriptor) -> None:
    """Raises DiskInUse where a machine that runs has the disk, or stands on it."""
    from .._vsphere.disks.users import running, users_of

    found = running(users_of(session, place, descriptor.get("ddb.uuid")))
    if found:
        raise DiskInUse(
            f"the virtual machine {found[0].name} is running and {found[0].how}",
            path=str(place),
            hint="Its content can be read while the machine is off, or once the disk is detached.",
        )


def plain_extent(name: str, descriptor: Descriptor) -> str:
    """The one file that holds the content, as the guest sees it. Raises UnsupportedDisk."""
    refuse_filtered(name, descriptor)
    if descriptor.parent_cid is not None:
        raise UnsupportedDisk(
            "stands on another disk, as redo logs of snapshots do; such content is not read yet",
            path=name,
            hint="Clone it within vSphere first (vmdk_clone to a managed disk), or remove the"
            " snapshot.",
        )
    extent = one_file(name, descriptor, PLAIN)
    if descriptor.extents[0].offset:
        raise UnsupportedDisk(
            "its content does not begin where its file does",
            path=name,
            found=f"sector {descriptor.extents[0].offset}",
        )
    return extent


def refuse_filtered(name: str, descriptor: Descriptor) -> None:
    """What a filter encrypts, or holds back, is in the file in another form; what is put there in
    the clear, the guest cannot read. Raises UnsupportedDisk."""
    require_supported(descriptor)
    filters = descriptor.get("ddb.iofilters")
    if filters:
        raise UnsupportedDisk(
            "filters of vSphere stand between its guest and its file",
            path=name,
            found=filters,
            hint="Use another transport, such as hotadd.",
        )


def one_file(name: str, descriptor: Descriptor, kinds: t.Container[str]) -> str:
    """The name of the only extent, of one of these kinds. Raises UnsupportedDisk."""
    extents = descriptor.extents
    if len(extents) != 1 or extents[0].kind not in kinds or extents[0].name is None:
        found = ", ".join(sorted({extent.kind for extent in extents})) or "no extent"
        raise UnsupportedDisk("its content is not in one plain file", path=name, found=found)
    if "://" in extents[0].name:
        raise UnsupportedDisk(
            "its content is no file: vSAN and vVols keep it as an object",
            path=name,
            found=extents[0].name,
            hint="Clone it to a VMFS or NFS datastore first.",
        )
    return extents[0].name


def upload(
    source: BlockDevice,
    files: DatastoreFiles,
    extent: Place,
    size: int,
    progress: Progress,
    require: Callable[[], None] = lambda: None,
) -> Transfer:
    """Make a file of `size` bytes hold the content of source; zeros are sent like all else.

    `require` raises where the file is not ours any more: it is asked before each attempt, and when
    all is there. Raises DiskError; the file then holds nothing that can be relied on.
    """
    counted = Transfer(
        bytes_total=size, transport=TRANSPORT, transport_reason="sent to the datastore over HTTPS"
    )

    def chunks() -> Iterator[bytes]:
        require()
        return content()

    def content() -> Iterator[bytes]:
        counted.bytes_read = counted.bytes_written = 0
        progress.start(extent.path.name, size)
        for data in ordered_map(lambda run: _content(source, run), _runs(source), CONNECTIONS):
            counted.bytes_read += len(data)
            counted.bytes_written += len(data)
            progress.advance(len(data))
            yield data
        if size > source.size:
            yield bytes(size - source.size)

    files.put(extent, size, chunks)
    require()
    with contextlib.suppress(TransportUnavailable):  # servers that do not tell the size of a file
        _check_length(files.probe(extent), size, extent)
    progress.finish()
    return counted.finish()


def _runs(source: BlockDevice) -> Iterator[Extent]:
    return pieces([Extent(0, source.size, Kind.DATA)], PIECE)


def _content(source: BlockDevice, run: Extent) -> bytes:
    return bytes(read(source, run.offset, run.length))


def _check_length(found: int, expected: int, extent: Place) -> None:
    if found < expected:
        raise TruncatedDisk(
            "ends before the disk does", path=str(extent), found=found, expected=expected
        )
