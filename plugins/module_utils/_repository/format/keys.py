# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""keys/<id>.json: the master key, wrapped once for each passphrase or key file."""

from __future__ import annotations

import os
import typing as t

from ..._device.errors import DiskError, InvalidRequest, RepositoryDamaged, WrongKey
from ..libraries import require
from . import times
from .sealed import Members, seal, unseal
from .spare import SPARE, delete_both, put_both, spare_key
from .subkeys import MASTER_BYTES, checksum

if t.TYPE_CHECKING:
    from ..store.protocol import Store

    Secret: t.TypeAlias = "str | bytes"  # a passphrase, or what a key file of the user holds
    Secrets: t.TypeAlias = "Secret | tuple[Secret, ...] | None"

FORMAT = "vdisk-key"
PREFIX = "keys/"
# 64 MiB and about a quarter of a second for each guess (OWASP: scrypt N=2^16, r=8, p=2).
COST = (1 << 16, 8, 2)
# What a key file may make us spend, as nothing proves who wrote it: bytes, and n*r*p.
_MOST_MEMORY, _MOST_TIME = 1 << 30, 1 << 25
_SALT, _NONCE, _TAG = 32, 12, 16


class NewKey(t.NamedTuple):
    """A key to make. `name` is for people, and everybody who sees the repository can read it."""

    name: str | None
    secret: Secret

    def __repr__(self) -> str:
        return f"NewKey({self.name!r})"


class KeyFile(t.NamedTuple):
    """One key file, parsed."""

    key_id: str
    repository_id: str
    cost: tuple[int, int, int]
    salt: bytes
    nonce: bytes
    wrapped: bytes
    name: str | None
    created: str  # 2026-11-22T02:00:00Z; "" where nothing is said

    def unwrap(self, secret: Secret) -> bytes | None:
        """The master key; None for the wrong secret."""
        return _unwrap(self, _bytes_of(secret))


def add_key(store: Store, repository_id: str, master: bytes, new: NewKey) -> str:
    """Let one more secret open the repository; returns the id of the new key."""
    key_id, salt, nonce = os.urandom(8).hex(), os.urandom(_SALT), os.urandom(_NONCE)
    cipher = _cipher(_bytes_of(new.secret), salt, COST)
    wrapped = cipher.encrypt(nonce, master, _bound_to(repository_id, key_id))
    facts = {
        "format": FORMAT,
        "version": 1,
        "id": key_id,
        "repository": repository_id,
        **({} if new.name is None else {"name": new.name}),
        "created": times.to_second(times.now()),
        "kdf": "scrypt",
        "n": COST[0],
        "r": COST[1],
        "p": COST[2],
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "wrapped": wrapped.hex(),
    }
    put_both(store, key_name(key_id), seal(facts, checksum))
    return key_id


def remove_key(store: Store, key_id: str) -> None:
    """Nobody opens the repository with this key any more; none there is fine."""
    delete_both(store, key_name(key_id))


def unlock(store: Store, repository_id: str, secrets: Secrets) -> bytes:
    """The master key. Raises WrongKey, or RepositoryDamaged if no key file can be read."""
    tried = [_bytes_of(secret) for secret in _all_of(secrets)]
    if not tried:
        raise WrongKey(
            "this repository is encrypted and neither a passphrase nor a key file was given",
            path=store.url,
            hint="Set the option passphrase or key_file, or the environment variable "
            "VDISK_PASSPHRASE or VDISK_KEY_FILE.",
        )
    key_files, damaged = load_keys(store, repository_id)
    if not key_files:
        raise _none_left(store, damaged)
    for key_file in key_files:
        for secret in tried:
            master = _unwrap(key_file, secret)
            if master is not None:
                return master
    unread = f" ({len(damaged)} damaged key files could not be tried)" if damaged else ""
    raise WrongKey(
        f"the passphrase or key file opens none of its {len(key_files)} keys{unread}",
        path=store.url,
        hint="Check passphrase and key_file, or VDISK_PASSPHRASE and VDISK_KEY_FILE; each "
        "character counts.",
    )


def key_name(key_id: str) -> str:
    return f"{PREFIX}{key_id}.json"


def id_in(name: str) -> str:
    """The id of the key that an object is named after."""
    return name[len(PREFIX) :].partition(".")[0]


def load_keys(store: Store, repository_id: str) -> tuple[list[KeyFile], dict[str, DiskError]]:
    """The keys of this repository, the newest first; object and trouble of those that cannot be
    read. Those of other repositories were left by a creation that was cut off."""
    found: list[KeyFile] = []
    damaged: dict[str, DiskError] = {}
    for name in key_names(store):
        try:
            key_file = _load(store, name)
        except DiskError as error:
            damaged[name] = error
            continue
        if key_file.repository_id == repository_id:
            found.append(key_file)
    return sorted(found, key=lambda key: (key.created, key.key_id), reverse=True), damaged


def key_names(store: Store) -> list[str]:
    """Of the key files, also of those that only their spare copies are left of."""
    names = {stored.key for stored in store.list(PREFIX)}
    spares = {stored.key[len(SPARE) :] for stored in store.list(spare_key(PREFIX))}
    return sorted(names | spares)


def _load(store: Store, name: str) -> KeyFile:
    try:
        return decode(name, store.get(name))
    except DiskError as error:
        try:
            return decode(name, store.get(spare_key(name)))
        except DiskError:
            raise error from None


def _none_left(store: Store, damaged: dict[str, DiskError]) -> DiskError:
    for error in damaged.values():
        return error
    message = "no key of this repository, by its repo.json, is there"
    return RepositoryDamaged(message, path=f"{store.url}/{PREFIX}")


def decode(name: str, data: bytes) -> KeyFile:
    """Raises RepositoryDamaged naming `name`."""
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
        name=members.text("name") if "name" in members.facts else None,
        created=members.text("created") if "created" in members.facts else "",
    )
    n, r, p = key_file.cost
    possible = n > 1 and not n & (n - 1) and r and p
    if not possible or 128 * n * r > _MOST_MEMORY or n * r * p > _MOST_TIME:
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


def _all_of(secrets: Secrets) -> tuple[Secret, ...]:
    if secrets is None:
        return ()
    return secrets if isinstance(secrets, tuple) else (secrets,)


def _bytes_of(secret: Secret) -> bytes:
    try:  # bytes of the environment that are not UTF-8 are taken as they are, as restore.py does
        data = secret.encode(errors="surrogateescape") if isinstance(secret, str) else secret
    except UnicodeEncodeError:
        raise InvalidRequest("the passphrase is not a text") from None
    if not data:
        raise InvalidRequest("the passphrase is empty")
    return data
