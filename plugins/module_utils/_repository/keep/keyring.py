# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Who opens a repository: the keys that shall be there, and what must be done for that."""

from __future__ import annotations

import hmac
import typing as t

from ..._device.errors import InvalidRequest
from ..format import config as configuration
from ..format import keys

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..access import Access
    from ..format.keys import KeyFile, NewKey

_LONGEST_NAME = 100


class KeyPlan(t.NamedTuple):
    """`remove` are ids. Keys are added before any is removed."""

    add: list[NewKey]
    remove: list[str]

    @property
    def changes(self) -> bool:
        return bool(self.add or self.remove)


def check_encryption(encryption: str, new_keys: Sequence[NewKey]) -> None:
    """Raises InvalidRequest where a repository would have no key or could use none."""
    if encryption not in configuration.CIPHERS:
        raise InvalidRequest(
            f"there is no encryption {encryption!r}", expected=" or ".join(configuration.CIPHERS)
        )
    if encryption == "none" and new_keys:
        raise InvalidRequest(
            "a passphrase or key file does nothing in a repository that is not encrypted"
        )
    if encryption != "none" and not new_keys:
        raise InvalidRequest(
            "an encrypted repository needs a passphrase or a key file",
            hint="Set passphrase, key_file or keys, or the environment variable VDISK_PASSPHRASE "
            "or VDISK_KEY_FILE.",
        )
    _check_names(new_keys)


def add_key(access: Access, new: NewKey) -> str:
    """One more secret that opens it; the id of the new key. Raises InvalidRequest."""
    repository_id = access.config.repository_id
    return keys.add_key(access.store, repository_id, _master(access), new)


def list_keys(access: Access) -> list[dict[str, str | None]]:
    """Id, name and time of each key, the oldest first; of a damaged one its problem."""
    if not access.subkeys.encrypted:
        return []
    found, damaged = keys.load_keys(access.store, access.config.repository_id)
    listed: list[dict[str, str | None]] = [
        {"id": key.key_id, "name": key.name, "created": key.created} for key in reversed(found)
    ]
    return listed + [
        {"id": keys.id_in(key), "name": None, "created": "", "problem": str(error)}
        for key, error in damaged.items()
    ]


def plan_keys(access: Access, wanted: Sequence[NewKey], *, purge: bool) -> KeyPlan:
    """A name that is there and opens stays; one that does not open is replaced; a missing one is
    added. With purge, every key that is not listed goes. Raises InvalidRequest."""
    master = _master(access)
    _check_names(wanted)
    if purge and not wanted:
        raise InvalidRequest(
            "purge_keys without keys would remove every key",
            path=access.store.url,
            hint="List the keys that shall stay under keys.",
        )
    found, damaged = keys.load_keys(access.store, access.config.repository_id)
    plan = KeyPlan([], [])
    stays = set()
    for new in wanted:
        same_name = [key for key in found if key.name == new.name]
        good = next((key.key_id for key in same_name if _opens(key, new, master)), None)
        if good is None:
            plan.add.append(new)
        stays.add(good)
        plan.remove.extend(key.key_id for key in same_name if key.key_id != good)
    if purge:
        unreadable = [
            keys.id_in(name) for name in damaged if keys.key_name(keys.id_in(name)) == name
        ]
        others = [key.key_id for key in found] + unreadable
        plan.remove.extend(key for key in others if key not in (*stays, *plan.remove))
    return plan


def change_keys(access: Access, plan: KeyPlan) -> None:
    """Carry it out. Where it is cut off, the next plan finds what is left to do."""
    for new in plan.add:
        add_key(access, new)
    for key_id in plan.remove:
        keys.remove_key(access.store, key_id)


def _master(access: Access) -> bytes:
    if access.subkeys.master is None:
        raise InvalidRequest("this repository is not encrypted", path=access.store.url)
    return access.subkeys.master


def _opens(key: KeyFile, new: NewKey, master: bytes) -> bool:
    unwrapped = key.unwrap(new.secret)
    return unwrapped is not None and hmac.compare_digest(unwrapped, master)


def _check_names(new_keys: Sequence[NewKey]) -> None:
    names = [new.name for new in new_keys if new.name is not None]
    for name in names:
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise InvalidRequest(
                f"{name!r} cannot be the name of a key",
                expected=f"1 to {_LONGEST_NAME} printable characters",
            )
        if names.count(name) > 1:
            raise InvalidRequest(f"two keys have the name {name!r}")
