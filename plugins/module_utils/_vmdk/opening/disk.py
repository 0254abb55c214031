# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A hosted disk that is open: its whole chain as one device."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.device import Device
from ..._device.transaction_mark import OVER, find
from ..descriptor.content_id import new_cid, new_long_content_id
from ..files.lock import has_vmware_lock

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.device import Buffer
    from ..._device.extent import Extent
    from ..descriptor.descriptor import Descriptor
    from ..descriptor.extent_line import ExtentLine
    from .descriptor_file import DescriptorFile


@dataclasses.dataclass(frozen=True)
class Link:
    """One disk of a chain. `extents` pairs each line with the path of its file."""

    store: DescriptorFile
    extents: list[tuple[ExtentLine, str | None]]
    parts: list[Device]
    device: Device

    @property
    def path(self) -> str:
        return self.store.path

    @property
    def descriptor(self) -> Descriptor:
        return self.store.descriptor

    @property
    def flags(self) -> list[str]:
        """What is wrong or unusual, as far as it is known by now."""
        found = [text for part in self.parts for text in getattr(part, "flags", ())]
        if has_vmware_lock(self.path):
            found.append(f"{self.path}: a VMware product has it open, or was killed")
        mark = find(self.path)
        if mark is not None and mark.state != OVER:
            found.append(f"{self.path}: a transaction is pending since {mark.since}")
        return found

    def files(self) -> list[str]:
        """Descriptor first, each file once."""
        named = [path for _line, path in self.extents if path is not None]
        return list(dict.fromkeys([self.path, *named]))

    def close(self) -> None:
        try:
            self.device.close()
        finally:
            self.store.close()


class Disk(Device):
    """Reads through all links, writes to the leaf. Made by open_disk()."""

    def __init__(self, path: str, links: Sequence[Link]) -> None:
        self.path = self.name = path
        self.links = list(links)
        self.size = self._leaf.device.size
        self._writable = self._leaf.store.file.writable
        self._touched = False

    @property
    def _leaf(self) -> Link:
        return self.links[0]

    @property
    def descriptor(self) -> Descriptor:
        """That of the leaf."""
        return self._leaf.descriptor

    @property
    def disk_type(self) -> str:
        return self.descriptor.create_type

    @property
    def flags(self) -> list[str]:
        return [text for link in self.links for text in link.flags]

    def files(self) -> list[str]:
        """All files of the leaf: what belongs to this disk alone."""
        return self._leaf.files()

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        self._leaf.device.readinto(offset, buffer)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        return self._leaf.device.extents(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        self.check_range(offset, memoryview(data).nbytes)
        self._touch(offset)
        self._leaf.device.write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
        self._touch(offset)
        self._leaf.device.zero(offset, length)

    def _touch(self, offset: int) -> None:
        if not self._writable:
            super().write(offset, b"")
        self.mark_changed()

    def mark_changed(self) -> None:
        """A new content id, once, so that children of the old content are told.

        write() and zero() do it; whoever writes to the flat file of the disk must call it.
        """
        if self._touched:
            return
        cid = new_cid()
        self.descriptor.set("CID", f"{cid:08x}")
        if self.descriptor.get("ddb.longContentID") is not None:
            self.descriptor.set("ddb.longContentID", new_long_content_id(cid))
        self._drop_change_tracking()
        self._leaf.store.save()
        self._touched = True

    def _drop_change_tracking(self) -> None:
        """Its list of changes does not know ours (VDDK guide: drop the line, version 1)."""
        if self.descriptor.delete("changeTrackPath") and self.descriptor.get("version") == "3":
            self.descriptor.set("version", "1")

    def flush(self) -> None:
        self._leaf.device.flush()

    def close(self) -> None:
        errors = []
        for link in self.links:
            try:
                link.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
