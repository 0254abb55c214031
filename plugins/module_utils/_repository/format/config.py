# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""repo.json: what a repository is."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..._device.errors import (
    DiskError,
    DiskIOError,
    DiskNotFound,
    InvalidRequest,
    RepositoryDamaged,
    RepositoryNotFound,
    UnsupportedDisk,
)
from .pack import PREFIX as PACKS
from .sealed import Members, parse, seal, unseal
from .spare import spare_key

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..store.protocol import Store
    from .sealed import Sign

Result = t.TypeVar("Result")
KEY = "repo.json"
FORMAT = "vdisk-repository"
VERSION = 1  # of this program, as reader and as writer
CIPHERS = ("aes-256-gcm", "none")
SMALLEST_CHUNK, LARGEST_CHUNK = 256 << 10, 4 << 20


@dataclasses.dataclass(frozen=True)
class Config:
    """The members of repo.json."""

    repository_id: str
    created: str
    cipher: str
    chunk_size: int  # bytes

    @property
    def encrypted(self) -> bool:
        return self.cipher != "none"

    @property
    def id_hash(self) -> str:
        return "blake3-keyed" if self.encrypted else "blake3"

    def as_dict(self) -> dict[str, object]:
        return {**dataclasses.asdict(self), "id_hash": self.id_hash, "encrypted": self.encrypted}


def check_chunk_size(size: int) -> None:
    """Raises InvalidRequest."""
    if not SMALLEST_CHUNK <= size <= LARGEST_CHUNK or size & (size - 1):
        raise InvalidRequest(
            f"the chunk size {size} is not possible",
            expected=f"a power of two from {SMALLEST_CHUNK} to {LARGEST_CHUNK} bytes",
        )


def encode(config: Config, sign: Sign) -> bytes:
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "min_reader": 1,
        "min_writer": 1,
        "repository": config.repository_id,
        "created": config.created,
        "cipher": config.cipher,
        "id_hash": config.id_hash,
        "chunk_size": config.chunk_size,
    }
    return seal(facts, sign)


def load(store: Store, key: str = KEY) -> tuple[Config, bytes]:
    """The configuration and its bytes, for verify() once the key is known. `key`: which copy.

    Raises RepositoryNotFound, RepositoryDamaged, UnsupportedDisk.
    """
    try:
        data = store.get(key)
    except DiskNotFound:
        raise _missing(store) from None
    return decode(data), data


def _missing(store: Store) -> DiskError:
    packs = None
    with contextlib.suppress(DiskError):
        packs = next(iter(store.list(PACKS)), None)
    if packs is not None:
        return RepositoryDamaged(
            f"there are backups here, but {KEY} is missing, and so is its spare copy",
            path=store.url,
            hint=f"Put {KEY} back from a copy of this repository; a new one would not open it.",
        )
    return RepositoryNotFound(
        "there is no backup repository here",
        path=store.url,
        expected=f"a directory with a file {KEY}",
        hint="Create one with vmdk_repository, or correct the path.",
    )


def load_either(store: Store, use: Callable[[Config, bytes], Result]) -> Result:
    """What `use` makes of repo.json, or of its spare copy where repo.json is damaged or missing.

    Raises what load() raises, and what `use` raises, for repo.json.
    """
    try:
        return use(*load(store))
    except (RepositoryDamaged, RepositoryNotFound, UnsupportedDisk, DiskIOError) as error:
        try:
            return use(*load(store, spare_key(KEY)))
        except DiskError:
            raise error from None


def decode(data: bytes) -> Config:
    members = Members(KEY, parse(KEY, data))
    members.one_of("format", (FORMAT,))
    for name in ("min_reader", "min_writer"):
        if members.number(name) > VERSION:
            raise UnsupportedDisk(
                "this repository was made by a newer version of the collection",
                path=KEY,
                found=f"{name} {members.number(name)}",
                expected=f"at most {VERSION}",
                hint="Update vdisk.lifecycle.",
            )
    config = Config(
        repository_id=members.binary("repository", 16).hex(),
        created=members.text("created"),
        cipher=members.one_of("cipher", CIPHERS),
        chunk_size=members.number("chunk_size"),
    )
    members.one_of("id_hash", (config.id_hash,))
    try:
        check_chunk_size(config.chunk_size)
    except InvalidRequest as error:
        raise RepositoryDamaged(error.message, path=KEY, expected=error.expected) from None
    return config


def verify(data: bytes, sign: Sign) -> None:
    """Raises RepositoryDamaged if repo.json is not as it was written."""
    unseal(KEY, data, sign)
