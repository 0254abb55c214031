# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which blobs are in which packs, learned from the tables of the packs."""

from __future__ import annotations

import struct
import typing as t

from ..._device.errors import DiskError
from ..._device.pipeline import ordered_map
from ..format.pack import LARGEST, PREFIX, RAW, Location, locations, pack_name
from .database import CatalogLost

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..format.pack import PackReader
    from ..store.protocol import Store
    from .catalog import Catalog
    from .database import Database

READERS = 16  # at once: an object store takes 20 ms for each table, however short
_BATCH = 4 << 20  # bytes of tables that go into one transaction
_NUMBERS = struct.Struct("<III")  # number, offset, length | RAW
_INSERT = "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)"
_FIND = (
    "SELECT packs.name, chunks.number, chunks.offset, chunks.length, chunks.sum FROM chunks"
    " JOIN packs ON packs.number = chunks.pack WHERE chunks.id = ? ORDER BY chunks.pack DESC"
)


class PackList(t.NamedTuple):
    """The names of the packs that are whole, and trouble with others in words."""

    usable: set[bytes]
    warnings: list[str]


class Pack(t.NamedTuple):
    """A pack as it is listed, and what is in it: the bytes of its table, or an error where the
    pack cannot be used, or places that are known without it."""

    name: bytes
    size: int
    version: str
    table: bytes | DiskError | list[Location]


def list_packs(catalog: Catalog, store: Store, reader: PackReader) -> PackList:
    """Bring the catalog up to date. A pack whose table cannot be read is none of the usable."""
    with catalog.listing:
        return catalog.retried(lambda: _list_packs(catalog, store, reader))


def _list_packs(catalog: Catalog, store: Store, reader: PackReader) -> PackList:
    database = catalog.database
    # Packs that another process adds from here on may be missing in our listing.
    last = database.rows("SELECT coalesce(max(number), 0) FROM packs")[0][0]
    database.change("DROP TABLE IF EXISTS temp.listed")
    database.change("CREATE TEMP TABLE listed (name BLOB PRIMARY KEY, size INTEGER, version TEXT)")
    database.change("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", _listing(store))
    _drop_gone(database, last)
    unknown = database.rows(
        "SELECT name, listed.size, listed.version FROM listed LEFT JOIN packs USING (name)"
        " WHERE packs.size IS NOT listed.size OR packs.version IS NOT listed.version"
    )
    warnings = _learn(catalog, reader, unknown)
    usable = database.rows(
        "SELECT name FROM listed JOIN packs USING (name)"
        " WHERE packs.size = listed.size AND packs.version = listed.version"
    )
    database.change("DROP TABLE temp.listed")
    return PackList({name for (name,) in usable}, warnings)


def _listing(store: Store) -> Iterator[tuple[bytes, int, str]]:
    for stored in store.list(PREFIX):
        name = pack_name(stored.key)
        if name is not None and stored.size <= LARGEST:
            yield name, stored.size, stored.version


def _drop_gone(database: Database, last: int) -> None:
    gone = database.rows(
        "SELECT number, name FROM packs"
        " WHERE number <= ? AND name NOT IN (SELECT name FROM listed)",
        (last,),
    )
    if gone:
        with database.transaction():
            database.change("DELETE FROM packs WHERE number = ?", [row[:1] for row in gone])
            database.change("DELETE FROM maps WHERE pack = ?", [row[1:] for row in gone])
            # One walk over all rows: an index by pack would cost every backup more than that.
            database.change("DELETE FROM chunks WHERE pack NOT IN (SELECT number FROM packs)")


def _learn(catalog: Catalog, reader: PackReader, unknown: list[tuple[t.Any, ...]]) -> list[str]:
    def read(pack: tuple[t.Any, ...]) -> Pack:
        name, size, version = pack
        try:
            return Pack(name, size, version, reader.raw_table(name, size))
        except DiskError as error:
            return Pack(name, size, version, error)

    warnings: list[str] = []
    batch: list[Pack] = []
    held = 0
    for pack in ordered_map(read, unknown, READERS):
        if isinstance(pack.table, DiskError):
            warnings.append(f"A pack is not used again: {pack.table}")
        else:
            held += len(pack.table)
        batch.append(pack)
        if held >= _BATCH:
            keep_packs(catalog, batch)
            batch, held = [], 0
    keep_packs(catalog, batch)
    return warnings


def keep_packs(catalog: Catalog, packs: Iterable[Pack]) -> None:
    """With a version that no store gives, the next list_packs() reads the table all the same."""
    with catalog.database.transaction():
        rows = [row for pack in packs for row in _rows(catalog, pack)]
        # In order: neighbours go to one page of the file.
        catalog.database.change(_INSERT, sorted(rows))


def _rows(catalog: Catalog, pack: Pack) -> Iterator[tuple[t.Any, ...]]:
    database = catalog.database
    database.change("DELETE FROM maps WHERE pack = ?", [(pack.name,)])
    if isinstance(pack.table, DiskError):
        database.change("DELETE FROM packs WHERE name = ?", [(pack.name,)])
        return
    database.change(
        "INSERT INTO packs (name, size, version) VALUES (?, ?, ?) ON CONFLICT (name)"
        " DO UPDATE SET size = excluded.size, version = excluded.version",
        [pack[:3]],
    )
    number = database.rows("SELECT number FROM packs WHERE name = ?", (pack.name,))[0][0]
    blobs = locations(pack.name, pack.table) if isinstance(pack.table, bytes) else pack.table
    for where in blobs:
        numbers = (where.number, where.offset, where.length | (RAW if where.raw else 0))
        check = catalog.sum(where.id, pack.name, _NUMBERS.pack(*numbers))
        yield (where.id, number, *numbers, check)


def find_chunk(catalog: Catalog, chunk_id: bytes, usable: set[bytes]) -> Location | None:
    """Where it is in one of these packs, the one learned last if there are several."""
    return next(find_chunks(catalog, chunk_id, usable), None)


def find_chunks(catalog: Catalog, chunk_id: bytes, usable: set[bytes]) -> Iterator[Location]:
    """Every place in these packs, those learned last first."""
    try:
        rows = catalog.database.rows(_FIND, (chunk_id,))
    except CatalogLost:
        return
    for name, *numbers, check in rows:
        if name in usable and _fits(catalog, chunk_id, name, numbers, check):
            number, offset, length = numbers
            yield Location(name, number, offset, length & ~RAW, bool(length & RAW), chunk_id)


def _fits(catalog: Catalog, chunk_id: bytes, name: bytes, numbers: list[int], check: bytes) -> bool:
    try:
        return catalog.sum(chunk_id, name, _NUMBERS.pack(*numbers)) == check
    except struct.error:  # no numbers at all
        return False


def forget_chunk(catalog: Catalog, where: Location) -> None:
    """It turned out to be damaged."""
    try:
        catalog.database.change(
            "DELETE FROM chunks WHERE id = ? AND number = ?"
            " AND pack = (SELECT number FROM packs WHERE name = ?)",
            [(where.id, where.number, where.pack)],
        )
    except CatalogLost:
        pass
