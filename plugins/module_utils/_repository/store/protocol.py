# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where a repository lives: objects under keys, written whole or not at all."""

from __future__ import annotations

import typing as t

from ..._device.errors import RepositoryDamaged

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import Buffer


# Bytes of an object that is read as a whole: more than the largest manifest there can be.
LARGEST_WHOLE = 1 << 30


def check_whole(path: str, size: int) -> None:
    """Raises RepositoryDamaged for what would only eat the memory."""
    if size > LARGEST_WHOLE:
        raise RepositoryDamaged(
            "is too large for what its name says", path=path, found=f"{size} bytes"
        )


class Stored(t.NamedTuple):
    """One object: its key, its size in bytes, and what changes when it is written again."""

    key: str
    size: int
    version: str


class Upload(t.Protocol):
    """An object that is being written and gets its key at the end."""

    def write(self, data: Buffer) -> None:
        """Append all of data. Raises NoSpace, DiskIOError."""

    def commit(self, key: str) -> bool:
        """Make it durable under this key; False if the key is taken (nothing is changed then)."""

    def abort(self) -> None:
        """Throw it away. After commit() this does nothing."""


class Session(t.Protocol):
    """Says that a writer is at work, until end() or until the writer dies."""

    key: str

    def is_alive(self) -> bool:
        """False once somebody took us for dead: see Store.sweep()."""

    def end(self) -> None: ...


class Store(t.Protocol):
    """Keys are relative paths with slashes. Nobody ever sees half an object."""

    url: str

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Exactly these bytes. Raises DiskNotFound, TruncatedDisk, DiskIOError; without a length
        RepositoryDamaged where there are more than LARGEST_WHOLE."""

    def read_into(self, key: str, offset: int, target: memoryview) -> None:
        """Fill target with what is there from `offset` on. Raises what get() raises."""

    def put(self, key: str, data: bytes | bytearray, *, if_absent: bool = False) -> bool:
        """Durable when it returns. With if_absent, False and no change if the key is taken."""

    def replace(self, key: str, old: bytes, data: bytes) -> bool:
        """Write `data` over an object that holds `old`; False and no change if it does not, or is
        gone. Object stores do it in one step, directories nearly so."""

    def upload(self) -> Upload:
        """Begin an object that is too big for memory."""

    def begin_session(self) -> Session:
        """Tell others that somebody writes."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """The objects whose key begins with `prefix`, a folder with its slash; in any order."""

    def size(self, key: str) -> int | None:
        """Bytes of the object; None if there is none."""

    def delete(self, key: str) -> None:
        """Remove an object; none there is fine. Raises ObjectLocked where the store keeps it."""

    def foreign(self, known: frozenset[str]) -> str | None:
        """A name at the top that is not in `known`, or None. Raises DiskExists for a file."""

    def remove(self) -> None:
        """Remove what is left when the last object is gone. Raises DiskIOError."""

    def sessions(self) -> tuple[str, ...]:
        """Keys of the sessions that have not ended and whose writer may be alive."""

    def sweep(self) -> None:
        """Remove the sessions of dead writers, and what they left half-written."""
