# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The SQLite file of a catalog: it can be lost at any moment, and nothing but time is."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import threading
import typing as t
import weakref

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Row = tuple[t.Any, ...]

Value = t.TypeVar("Value")
VERSION = 2  # of the tables below; a file of another version is thrown away
_CACHE = 16 << 10  # KiB
PATIENCE = 60.0  # seconds to wait for another process that writes
# Trouble that says nothing about the content of the file. (sqlite_errorcode needs Python 3.11.)
_PASSING = re.compile("locked|busy|full|readonly|unable to open|disk I/O")
# A message of SQLite may quote what is damaged, and then not be a text that Python can read.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)
_TABLES = f"""
CREATE TABLE packs (number INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL, version TEXT NOT NULL);
CREATE TABLE chunks (id BLOB NOT NULL, pack INTEGER NOT NULL, number INTEGER NOT NULL,
    offset INTEGER NOT NULL, length INTEGER NOT NULL, sum BLOB NOT NULL,
    PRIMARY KEY (id, pack, number)) WITHOUT ROWID;
CREATE TABLE points (key TEXT PRIMARY KEY, version TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE maps (pack BLOB NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (pack, number, kind));
CREATE TABLE results (name TEXT PRIMARY KEY, body BLOB NOT NULL);
PRAGMA user_version = {VERSION}"""


class CatalogLost(Exception):
    """The file could not be used; an empty one has taken its place."""


class Database:
    """One connection, safe to use from many threads and beside other processes.

    rows(), change() and transaction() raise CatalogLost: what was known is unknown from then on.
    A damaged file is thrown away; one that cannot be used now gives way to a temporary one.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        try:
            self._use(_open(path))
        except _ERRORS as error:
            self._use(self._another(error))

    def rows(self, statement: str, values: Sequence[t.Any] = ()) -> list[Row]:
        """What a query finds."""
        return self._guarded(lambda: self._connection.execute(statement, values).fetchall())

    def change(self, statement: str, rows: Iterable[Sequence[t.Any]] = ((),)) -> None:
        """The same statement once for each row of values."""
        self._guarded(lambda: self._connection.executemany(statement, rows))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes or none; other threads and writers wait, so keep it short."""
        with self._lock:
            self._guarded(lambda: self._connection.execute("BEGIN IMMEDIATE"))
            try:
                yield
                self._guarded(self._connection.commit)
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.rollback()
                raise

    def _guarded(self, action: Callable[[], Value]) -> Value:
        with self._lock:
            try:
                return action()
            except _ERRORS as error:
                self._finalizer()
                self._use(self._another(error))
                raise CatalogLost(str(error)) from error

    def _use(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._finalizer = weakref.finalize(self, connection.close)

    def _another(self, error: Exception) -> sqlite3.Connection:
        path, self._path = self._path, None  # once: what breaks twice would do so for ever
        if path is not None and not _PASSING.search(str(error)):
            for suffix in ("-journal", ""):
                with contextlib.suppress(OSError):
                    os.unlink(path + suffix)
            with contextlib.suppress(*_ERRORS):
                return _open(path)
        return _open(None)


def _open(path: str | None) -> sqlite3.Connection:
    # "" is a database of this connection alone, which goes to disk only where it is big
    connection = sqlite3.connect(
        path or "", timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        connection.text_factory = _text
        # Not WAL: that maps a file, and whoever truncates it kills us. And nothing is flushed: what
        # a power cut leaves is found to be damaged like anything else.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        if _version(connection) != VERSION:
            _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection)
    if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        for statement in _TABLES.split(";"):
            connection.execute(statement)
    elif version != VERSION:
        raise sqlite3.DatabaseError(f"tables of version {version}")
    connection.commit()


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
