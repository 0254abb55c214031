# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""keys/<id>.json: the master key, wrapped once for each passphrase."""

from __future__ import annotations

import os
import typing as t

from ..._device.errors import DiskError, InvalidRequest, RepositoryDamaged, WrongKey
from ..libraries import require
from .sealed import Members, seal, unseal
from .subkeys import MASTER_BYTES, checksum

if t.TYPE_CHECKING:
    from ..store.protocol import Store

    Passphrase: t.TypeAlias = "str | bytes"

FORMAT = "vdisk-key"
PREFIX = "keys/"
# 64 MiB and about a quarter of a second for each guess (OWASP: scrypt N=2^16, r=8, p=2).
COST = (1 << 16, 8, 2)
_MOST_MEMORY = 1 << 30  # bytes; what a key file may make us spend
_SALT, _NONCE, _TAG = 32, 12, 16


class KeyFile(t.NamedTuple):
    """One key file, parsed."""

    key_id: str
    repository_id: str
    cost: tuple[int, int, int]
    salt: bytes
    nonce: bytes
    wrapped: bytes


def add_key(store: Store, repository_id: str, master: bytes, passphrase: Passphrase) -> str:
    """Let a passphrase open the repository; returns the id of the new key."""
    key_id, salt, nonce = os.urandom(8).hex(), os.urandom(_SALT), os.urandom(_NONCE)
    cipher = _cipher(_secret(passphrase), salt, COST)
    wrapped = cipher.encrypt(nonce, master, _bound_to(repository_id, key_id))
    facts = {
        "format": FORMAT,
        "version": 1,
        "id": key_id,
        "repository": repository_id,
        "kdf": "scrypt",
        "n": COST[0],
        "r": COST[1],
        "p": COST[2],
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "wrapped": wrapped.hex(),
    }
    store.put(key_name(key_id), seal(facts, checksum), if_absent=True)
    return key_id


def unlock(store: Store, repository_id: str, passphrase: Passphrase | None) -> bytes:
    """The master key. Raises WrongKey, or RepositoryDamaged if no key file can be read."""
    if passphrase is None:
        raise WrongKey(
            "this repository is encrypted and no passphrase was given",
            path=store.url,
            hint="Set the option passphrase, or the environment variable VDISK_PASSPHRASE.",
        )
    key_files, damaged = _load_all(store, repository_id)
    if damaged and not key_files:
        raise damaged[0]
    secret = _secret(passphrase)
    for key_file in key_files:
        master = _unwrap(key_file, secret)
        if master is not None:
            return master
    unread = f" ({len(damaged)} damaged key files could not be tried)" if damaged else ""
    raise WrongKey(
        f"the passphrase opens none of its {len(key_files)} keys{unread}",
        path=store.url,
        hint="Check the option passphrase or VDISK_PASSPHRASE; each character counts.",
    )


def key_name(key_id: str) -> str:
    return f"{PREFIX}{key_id}.json"


def _load_all(store: Store, repository_id: str) -> tuple[list[KeyFile], list[DiskError]]:
    """The keys of this repository, and what is wrong with the others."""
    found: list[KeyFile] = []
    damaged: list[DiskError] = []
    strangers = 0
    for stored in sorted(store.list(PREFIX)):
        try:
            key_file = _decode(stored.key, store.get(stored.key))
        except DiskError as error:
            damaged.append(error)
            continue
        if key_file.repository_id == repository_id:
            found.append(key_file)
        else:  # left by a creation that was cut off
            strangers += 1
    if not found and not damaged:
        message = f"no key of this repository is there ({strangers} of others, by repo.json)"
        damaged.append(RepositoryDamaged(message, path=f"{store.url}/{PREFIX}"))
    return found, damaged


def _decode(name: str, data: bytes) -> KeyFile:
    members = Members(name, unseal(name, data, checksum))
    members.one_of("format", (FORMAT,))
    members.one_of("kdf", ("scrypt",))
    key_file = KeyFile(
        key_id=members.binary("id", 8).hex(),
        repository_id=members.binary("repository", 16).hex(),
        cost=(members.number("n"), members.number("r", 64), members.number("p", 64)),
        salt=members.binary("salt", _SALT),
        nonce=members.binary("nonce", _NONCE),
        wrapped=members.binary("wrapped", MASTER_BYTES + _TAG),
    )
    n, r, p = key_file.cost
    if n < 2 or n & (n - 1) or not r or not p or 128 * n * r > _MOST_MEMORY:
        raise RepositoryDamaged("its scrypt cost is not possible", path=name, found=key_file.cost)
    if name != key_name(key_file.key_id):
        raise RepositoryDamaged("is the file of another key", path=name, found=key_file.key_id)
    return key_file


def _unwrap(key_file: KeyFile, secret: bytes) -> bytes | None:
    exceptions = require("cryptography.exceptions")
    cipher = _cipher(secret, key_file.salt, key_file.cost)
    bound_to = _bound_to(key_file.repository_id, key_file.key_id)
    try:
        return t.cast("bytes", cipher.decrypt(key_file.nonce, key_file.wrapped, bound_to))
    except exceptions.InvalidTag:
        return None


def _cipher(secret: bytes, salt: bytes, cost: tuple[int, int, int]) -> t.Any:
    scrypt = require("cryptography.hazmat.primitives.kdf.scrypt")
    aead = require("cryptography.hazmat.primitives.ciphers.aead")
    n, r, p = cost
    return aead.AESGCM(scrypt.Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(secret))


def _bound_to(repository_id: str, key_id: str) -> bytes:
    """A wrapped key opens nowhere but in its own file of its own repository."""
    return f"vdisk key {repository_id} {key_id}".encode()


def _secret(passphrase: Passphrase) -> bytes:
    secret = passphrase.encode() if isinstance(passphrase, str) else passphrase
    if not secret:
        raise InvalidRequest("the passphrase is empty")
    return secret
