# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Logical volumes, put together from the physical volumes that were found."""

from __future__ import annotations

import collections
import typing as t

from ..._device.errors import CorruptDisk
from ..assembled import Striped, joined, part_of
from ..partitions import LVM, Partition
from ..volumes import Volume
from .group import read_group

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..assembled import Source
    from .group import Group, Logical, Piece, Segment
    from .label import Physical

MEMBER = "LVM2_member"
_MOST_VOLUMES = 4096  # more, or longer descriptions, are only ever made to keep somebody busy
_MOST_TEXT = 8 << 20  # takes ten seconds


class _Missing(Exception):
    """Why a volume cannot be had, and what to do."""


class Members:
    """Physical volumes, of any groups."""

    def __init__(self) -> None:
        self._sources: dict[str, list[Source]] = {}  # by uuid; more than one of clones
        self._protected: dict[str, str] = {}  # why not to write to it, by uuid
        self._groups: dict[str, Group] = {}  # by uuid, the newest description
        self._texts: set[str] = set()

    def add(self, physical: Physical, source: Source, read_only_because: str) -> None:
        """Raises CorruptDisk for a description that cannot be understood."""
        self._sources.setdefault(physical.uuid, []).append(source)
        self._protected[physical.uuid] = read_only_because
        self._texts.add(physical.text)
        self._require_few("characters of LVM", sum(map(len, self._texts)), _MOST_TEXT)
        group = read_group(physical.text) if physical.text else None
        if group is None:
            return
        known = self._groups.get(group.uuid)
        if known is None or known.seqno < group.seqno:
            count = len(group.volumes) + sum(len(each.volumes) for each in self._groups.values())
            self._require_few("logical volumes", count, _MOST_VOLUMES)
            self._groups[group.uuid] = group

    def _require_few(self, what: str, count: int, most: int) -> None:
        if count > most:
            raise CorruptDisk(f"too many {what}", found=count, expected=f"at most {most}")

    def volumes(self) -> Iterator[Volume]:
        """The logical volumes, their content not looked at yet."""
        names = collections.Counter(group.name for group in self._groups.values())
        for group in self._groups.values():
            unique = f"{group.name}@{group.uuid[:6]}"
            for logical in group.volumes:
                shown = group.name if names[group.name] == 1 else unique
                also = (f"{group.name}/{logical.name}", f"{unique}/{logical.name}", logical.uuid)
                yield self._volume(logical, f"{shown}/{logical.name}", also)

    def _volume(self, logical: Logical, name: str, also: tuple[str, ...]) -> Volume:
        source, problem = None, logical.why
        try:
            source = None if problem else self._source(logical)
        except _Missing as missing:
            problem = str(missing)
        start = source.place[1] if source is not None and source.place else 0
        part = Partition(0, LVM, "", "LVM", name, logical.uuid, start, logical.size)
        return Volume(part, None, source, name, problem, self._because(logical), also)

    def _because(self, logical: Logical) -> str:
        pieces = (piece for segment in logical.segments for piece in segment.pieces)
        reasons = (self._protected.get(piece.physical, "") for piece in pieces)
        return logical.because or next(filter(None, reasons), "")

    def _source(self, logical: Logical) -> Source:
        if not logical.segments:
            raise _Missing("empty")
        return joined([self._segment(each) for each in logical.segments])

    def _segment(self, segment: Segment) -> Source:
        parts = tuple(self._piece(piece) for piece in segment.pieces)
        return Striped(parts, segment.stripe) if segment.stripe else parts[0]

    def _piece(self, piece: Piece) -> Source:
        found = self._sources.get(piece.physical, [])
        if not found:
            raise _Missing(
                f"partly on another disk (physical volume {piece.physical}):"
                " name that disk in disks"
            )
        if len(found) > 1:
            where = " and ".join(map(_where, found))
            raise _Missing(
                f"its physical volume {piece.physical} is there {len(found)} times ({where}): leave"
                " all but one of the clones out, or give theirs new names with vgimportclone"
            )
        if piece.start + piece.size > found[0].size:
            raise _Missing(
                f"it goes on beyond the end of physical volume {piece.physical}, which has"
                f" {found[0].size} bytes: the disk was cut off, restore it"
            )
        return part_of(found[0], piece.start, piece.size)


def _where(source: Source) -> str:
    if source.place is None:
        return "inside another volume"
    disk, offset = source.place
    return f"disk{disk} at byte {offset}"
