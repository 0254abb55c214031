# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""backups/<source>/<point>: a restore point, and the only commit of a backup."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._device.errors import RepositoryDamaged
from .document import head_of, read_members, write_document
from .map import NO_ID, MapRef, group_count, root_of
from .pack import LARGEST as LARGEST_PACK
from .pack import Location
from .sealed import Members
from .times import is_exact, is_second

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .config import Config
    from .subkeys import SubKeys

FORMAT = "vdisk-point"
PREFIX = "backups/"
KEY = re.compile(  # source, point, and when that was
    r"backups/([^/]+)/((\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{8})"
)
METHODS = ("full", "incremental", "changed")
SOURCE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")  # also a folder, and no path
_LARGEST_DISK = 1 << 50
_ROAD = ("transport", "transport_reason")  # of disks of virtual machines: how they were read


@dataclasses.dataclass(frozen=True)
class PointDisk:
    """One disk of a restore point. Sizes and counters are bytes."""

    name: str
    key: int | None
    label: str
    uuid: str
    path: str
    size: int
    method: str
    reason: str
    bytes_read: int
    bytes_new: int
    root: bytes
    maps: Sequence[MapRef | None]
    facts: dict[str, t.Any]
    change_id: str | None = None  # the state it was in, by the words of who backed it up

    @property
    def is_configuration(self) -> bool:
        """Whether it is no disk of the source but what is known of a virtual machine beside."""
        return self.facts.get("role") == "configuration"


@dataclasses.dataclass(frozen=True)
class RestorePoint:
    """`problem` says why a point cannot be used; little else is known of such a one."""

    id: str
    name: str
    exact: str  # later than all points before, to the microsecond: 2026-11-22T02:00:00.000000Z
    source_kind: str
    source_id: str
    source_name: str
    source_facts: dict[str, t.Any]
    disks: list[PointDisk]
    stored: int  # bytes that this point added to the repository
    repository: str  # URL
    id_hash: str
    problem: str | None = None
    own_clock: str | None = None  # see clock
    retain_until: str | None = None  # 2026-12-22T02:00:00Z: it is not to be deleted before
    locked_until: str | None = None  # the store lets nobody delete its packs before
    seconds: int | None = None  # that the backup took, until this was written

    @property
    def created(self) -> str:
        return self.exact[:19] + "Z"

    @property
    def clock(self) -> str:
        """The time on the writer's clock when the backup began; not later than `exact`."""
        return self.own_clock or self.exact

    @property
    def size(self) -> int:
        return sum(disk.size for disk in self.real_disks)

    @property
    def real_disks(self) -> list[PointDisk]:
        """Without the configuration of a virtual machine, which lies among them."""
        return [disk for disk in self.disks if not disk.is_configuration]

    @property
    def source(self) -> dict[str, t.Any]:
        own = {"kind": self.source_kind, "id": self.source_id, "name": self.source_name}
        return {**self.source_facts, **own}

    @property
    def key(self) -> str:
        return point_key(self.source_id, self.id)

    def digest_id(self, disk: PointDisk) -> str:
        return f"{self.id_hash}:{disk.root.hex()}"

    def as_dict(self) -> dict[str, t.Any]:
        """The `restore_point` value of module results."""
        facts: dict[str, t.Any] = {
            "id": self.id,
            "name": self.name,
            "created": self.created,
            "source": self.source,
            "disks": [self._disk_as_dict(disk) for disk in self.real_disks],
            "size": self.size,
            "added": self.stored,
            "seconds": self.seconds,
            "repository": self.repository,
        }
        if len(self.real_disks) < len(self.disks):
            facts["configuration"] = True
        if self.retain_until:
            facts["retain_until"] = self.retain_until
        return {**facts, "problem": self.problem} if self.problem else facts

    def _disk_as_dict(self, disk: PointDisk) -> dict[str, t.Any]:
        names = ("key", "name", "label", "size", "method", "reason", "bytes_read", "bytes_new")
        facts = {name: getattr(disk, name) for name in names}
        road = {name: disk.facts[name] for name in _ROAD if name in disk.facts}
        return {**facts, "digest_id": self.digest_id(disk), **road}


def point_key(source_id: str, point_id: str) -> str:
    return f"{PREFIX}{source_id}/{point_id}"


def encode(point: RestorePoint, config: Config, subkeys: SubKeys) -> bytes:
    facts = {
        **head_of(FORMAT, config),
        "id": point.id,
        "name": point.name,
        "created": point.exact,
        **({"clock": point.own_clock} if point.own_clock else {}),
        **({"retain_until": point.retain_until} if point.retain_until else {}),
        **({"locked_until": point.locked_until} if point.locked_until else {}),
        "source": {
            "kind": point.source_kind,
            "id": point.source_id,
            "name": point.source_name,
            "facts": point.source_facts,
        },
        "stored": point.stored,
        **({} if point.seconds is None else {"seconds": point.seconds}),
        "disks": [_encode_disk(disk) for disk in point.disks],
    }
    return write_document(point.key, facts, subkeys)


def _encode_disk(disk: PointDisk) -> dict[str, t.Any]:
    plain = {field.name: getattr(disk, field.name) for field in dataclasses.fields(disk)}
    maps = [None if ref is None else _encode_ref(ref) for ref in disk.maps]
    if disk.change_id is None:
        del plain["change_id"]
    return {**plain, "root": disk.root.hex(), "maps": maps}


def _encode_ref(ref: MapRef) -> dict[str, t.Any]:
    where = ref.location
    return {
        "pack": where.pack.hex(),
        "number": where.number,
        "offset": where.offset,
        "length": where.length,
        "raw": where.raw,
        "id": where.id.hex(),
        "content": ref.content.hex(),
    }


def decode(key: str, data: bytes, config: Config, subkeys: SubKeys, url: str) -> RestorePoint:
    """Raises RepositoryDamaged naming `key`."""
    members = read_members(FORMAT, key, data, config, subkeys)
    source = Members(key, members.mapping("source"), "source.")
    point = RestorePoint(
        id=members.text("id"),
        name=members.text("name"),
        exact=members.text("created"),
        source_kind=source.text("kind"),
        source_id=source.text("id"),
        source_name=source.text("name"),
        source_facts=source.mapping("facts"),
        disks=[
            _decode_disk(Members(key, disk, f"disks[{number}]."), config, subkeys)
            for number, disk in enumerate(members.items("disks"))
        ],
        stored=members.number("stored"),
        repository=url,
        id_hash=config.id_hash,
        own_clock=members.text("clock") if "clock" in members.facts else None,
        retain_until=_decode_day(members, "retain_until"),
        locked_until=_decode_day(members, "locked_until"),
        seconds=members.number("seconds") if "seconds" in members.facts else None,
    )
    if not SOURCE_ID.fullmatch(point.source_id):
        raise RepositoryDamaged("nothing has such an id", path=key, found=point.source_id)
    if point.key != key:
        raise RepositoryDamaged("is the manifest of another point", path=key, found=point.key)
    for time in (point.exact, point.clock):
        if not is_exact(time):
            raise RepositoryDamaged("its time is wrong", path=key, found=time)
    return point


def _decode_day(members: Members, name: str) -> str | None:
    if name not in members.facts:
        return None
    text = members.text(name)
    if not is_second(text):
        raise RepositoryDamaged(f"its {name} is no time", path=members.key, found=text)
    return text


def _decode_disk(members: Members, config: Config, subkeys: SubKeys) -> PointDisk:
    size = members.number("size", _LARGEST_DISK)
    maps = [
        None if ref is None else _decode_ref(Members(members.key, ref, f"{members.where}maps[]."))
        for ref in members.items("maps")
    ]
    root = members.binary("root", 32)
    expected = root_of(subkeys, size, (NO_ID if ref is None else ref.content for ref in maps))
    if len(maps) != group_count(size, config.chunk_size) or root != expected:
        raise RepositoryDamaged(f"{members.where}maps do not fit its root", path=members.key)
    return PointDisk(
        name=members.text("name"),
        key=None if members.facts.get("key") is None else members.number("key"),
        label=members.text("label"),
        uuid=members.text("uuid"),
        path=members.text("path"),
        size=size,
        method=members.one_of("method", METHODS),
        reason=members.text("reason"),
        bytes_read=members.number("bytes_read"),
        bytes_new=members.number("bytes_new"),
        root=root,
        maps=maps,
        facts=members.mapping("facts"),
        change_id=members.text("change_id") if "change_id" in members.facts else None,
    )


def _decode_ref(members: Members) -> MapRef:
    location = Location(
        pack=members.binary("pack", 32),
        number=members.number("number", LARGEST_PACK),
        offset=members.number("offset", LARGEST_PACK),
        length=members.number("length", LARGEST_PACK),
        raw=members.one_of("raw", (True, False)),
        id=members.binary("id", 32),
    )
    return MapRef(location, members.binary("content", 32))
