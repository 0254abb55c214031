# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Volume groups of LVM2: which logical volumes there are, and where their bytes lie."""

from __future__ import annotations

import functools
import typing as t

from ..._device.errors import CorruptDisk
from .text import parse

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .text import Section

SECTOR = 512
_PLAIN = ("striped", "linear")
_WHAT_THEY_ARE = {
    "thin": "a thin volume",
    "thin-pool": "a thin pool",
    "mirror": "a mirror of the old kind",
    "cache": "cached",
    "cache-pool": "the pool of a cache",
    "writecache": "cached",
    "vdo": "deduplicated by VDO",
    "vdo-pool": "a pool of VDO",
}


class Piece(t.NamedTuple):
    """Bytes of a logical volume that lie together: on which physical volume, and where there."""

    physical: str  # uuid
    start: int
    size: int


class Segment(t.NamedTuple):
    """Bytes of a logical volume: one piece, or several of one size in turn, `stripe` bytes each."""

    pieces: tuple[Piece, ...]
    stripe: int = 0


class Logical(t.NamedTuple):
    """`segments` in order; none where the bytes are not simply somewhere, and `why` says so."""

    name: str
    uuid: str
    size: int  # bytes
    segments: tuple[Segment, ...]
    why: str = ""
    because: str = ""  # why it must not be written to


class Group(t.NamedTuple):
    """A volume group as one of its physical volumes describes it; a higher `seqno` is newer."""

    name: str
    uuid: str
    seqno: int
    volumes: tuple[Logical, ...]


@functools.lru_cache(maxsize=64)  # the search for volumes comes here again and again
def read_group(text: str) -> Group | None:
    """None where nothing is described. Raises CorruptDisk."""
    try:
        for name, facts in parse(text).items():  # other sections say how the text was written
            if isinstance(facts, dict) and {"id", "seqno", "extent_size"} <= facts.keys():
                volumes = tuple(_Reader(facts).volumes())
                return Group(name, str(facts["id"]), int(facts["seqno"]), volumes)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CorruptDisk(
            "the description of its LVM volume group cannot be understood", found=repr(error)
        ) from error
    return None


class _Reader:
    """One description. What is wrong in it shows as KeyError, TypeError, ValueError."""

    def __init__(self, facts: Section) -> None:
        self.extent = _positive(facts["extent_size"]) * SECTOR
        self.physicals: Section = facts.get("physical_volumes", {})
        self.logicals: Section = facts.get("logical_volumes", {})
        self.origins: set[str] = set()
        self.snapshots: dict[str, str] = {}  # why volumes that belong to one are not what they seem
        for each in self.logicals.values():
            for segment in _segments(each):
                if segment["type"] == "snapshot":
                    self._note_snapshot(segment)

    def _note_snapshot(self, segment: Section) -> None:
        origin = segment["origin"]
        if "merging_store" in segment:
            for name in (origin, segment["merging_store"]):
                self.snapshots[name] = "being merged with a snapshot: let the guest finish that"
            return
        self.origins.add(origin)
        why = f"a snapshot of {origin}: only the guest itself can read that"
        self.snapshots[segment["cow_store"]] = why

    def volumes(self) -> Iterator[Logical]:
        """Those that a guest sees. What ties a snapshot to its origin stands for the snapshot."""
        for name, each in self.logicals.items():
            ties = any(segment["type"] == "snapshot" for segment in _segments(each))
            if name in self.snapshots or ("VISIBLE" in each["status"] and not ties):
                yield self._volume(name, each)

    def _volume(self, name: str, facts: Section) -> Logical:
        described = _segments(facts)
        size = sum(segment["extent_count"] for segment in described) * self.extent
        why = self._unusual(name, described)
        segments = () if why else tuple(map(self._segment, described))
        because = "" if "WRITE" in facts["status"] else "LVM has it so (lvchange --permission)"
        if name in self.origins:
            because = "it is the origin of an LVM snapshot"
        return Logical(name, str(facts["id"]), size, segments, why, because)

    def _unusual(self, name: str, segments: list[Section]) -> str:
        """Why the bytes of a volume are not simply on physical volumes."""
        reasons = [self.snapshots.get(name, ""), *map(self._unusual_segment, segments)]
        return next(filter(None, reasons), "")

    def _unusual_segment(self, segment: Section) -> str:
        kind = segment["type"]
        if kind not in _PLAIN:
            what = _WHAT_THEY_ARE.get(kind, f"of type {kind}")
            return f"{what}: only the guest itself can read that"
        return next(filter(None, map(self._unusual_area, segment["stripes"][::2])), "")

    def _unusual_area(self, area: str) -> str:
        if area not in self.physicals:
            return f"partly in {area}: let the guest finish what it does there (pvmove)"
        physical = self.physicals[area]
        if "MISSING" in physical.get("flags", []):
            return (
                f"partly on a physical volume that the group does without ({physical['id']}):"
                " run vgextend --restoremissing in the guest"
            )
        return ""

    def _segment(self, facts: Section) -> Segment:
        areas = facts["stripes"]
        count = _positive(facts.get("stripe_count", 1))
        each, rest = divmod(facts["extent_count"] * self.extent, count)
        if len(areas) != 2 * count or rest:
            raise ValueError(f"{len(areas) // 2} stripes of {count}")
        pieces = tuple(self._piece(areas[at], areas[at + 1], each) for at in range(0, 2 * count, 2))
        if count == 1:
            return Segment(pieces)
        stripe = _positive(facts["stripe_size"]) * SECTOR
        if each % stripe:
            raise ValueError(f"stripes of {stripe} bytes in {each}")
        return Segment(pieces, stripe)

    def _piece(self, area: str, first: int, size: int) -> Piece:
        physical = self.physicals[area]
        start = _natural(physical["pe_start"]) * SECTOR + _natural(first) * self.extent
        return Piece(str(physical["id"]), start, size)


def _segments(volume: Section) -> list[Section]:
    """In order, and without gaps."""
    names = (f"segment{number + 1}" for number in range(volume["segment_count"]))
    found = sorted((volume[name] for name in names), key=lambda each: int(each["start_extent"]))
    end = 0
    for each in found:
        if each["start_extent"] != end:
            raise ValueError(f"a segment at extent {each['start_extent']} instead of {end}")
        end += _positive(each["extent_count"])
    return found


def _positive(number: t.Any) -> int:
    if not _natural(number):
        raise ValueError("0 where there must be more")
    return int(number)


def _natural(number: t.Any) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"{str(number)[:40]!r} instead of a number")
    return number
