# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A repository that is there, with its keys and copies, or is not."""

from __future__ import annotations

import dataclasses
import typing as t

from .._device.errors import InvalidRequest
from .._repository.format.config import VERSION
from .._repository.format.keys import NewKey
from .._repository.keep.removal import check_removable, remove_repository
from .._repository.repository import Repository, check_new, create_repository, repository_exists
from .copy_points import CopyRequest, nothing_to_copy, plan_copy
from .key_file import secrets_of
from .plan import Plan, Result, nothing_to_do

if t.TYPE_CHECKING:
    from .._device.progress import Progress
    from .._repository.keep.keyring import KeyPlan
    from .access import Access


@dataclasses.dataclass(frozen=True)
class RepositoryRequest:
    """The repository that shall be there; chunk_size in bytes."""

    url: str
    encryption: str
    chunk_size: int
    passphrase: str | None = dataclasses.field(default=None, repr=False)
    key_file: str | None = None
    keys: tuple[NewKey, ...] = ()
    purge_keys: bool = False
    master_key_of: Access | None = None
    copy: CopyRequest | None = None

    @property
    def secrets(self) -> tuple[str | bytes, ...]:
        """What may open it: what was given for that, and the keys that it shall have."""
        given = secrets_of(self.passphrase, self.key_file)
        return given + tuple(key.secret for key in self.keys)

    @property
    def first_keys(self) -> tuple[NewKey, ...]:
        """The keys of a new repository."""
        if self.purge_keys:
            return self.keys
        listed = {key.secret for key in self.keys}
        given = secrets_of(self.passphrase, self.key_file)
        return self.keys + tuple(NewKey(None, one) for one in given if one not in listed)


def plan_present(request: RepositoryRequest, progress: Progress) -> Plan:
    """Create it; if it is there, it must open and be what is asked for."""
    if repository_exists(request.url):
        return _plan_existing(request, progress)
    return _plan_new(request)


def _plan_new(request: RepositoryRequest) -> Plan:
    what: dict[str, t.Any] = {
        "encryption": request.encryption,
        "chunk_size": request.chunk_size,
        "new_keys": request.first_keys,
        "master_of": _other_of(request),
    }
    check_new(request.url, **what)
    after: Result = {
        "url": request.url,
        "encryption": request.encryption,
        "chunk_size": request.chunk_size,
        "key_list": [_new_key(key) for key in request.first_keys],
    }
    copied = nothing_to_copy(request.copy)

    def apply() -> Result:
        return {"repository": _facts(create_repository(request.url, **what)), **copied}

    return Plan(before={}, after=after, result={"repository": after, **copied}, apply=apply)


def _plan_existing(request: RepositoryRequest, progress: Progress) -> Plan:
    repository = Repository.open(request.url, request.secrets)
    facts = _facts(repository)
    _check_same(request, repository, facts)
    keys = None
    if request.keys or request.purge_keys:
        keys = repository.plan_keys(request.keys, purge=request.purge_keys)
    copy = request.copy and plan_copy(repository, request.copy, request.secrets)
    after = {**facts, "key_list": _keys_after(facts["key_list"], keys)}
    foretold: Result = {"repository": after, **(copy.foretold if copy else {})}
    if not (keys and keys.changes) and not (copy and copy.changes):
        return nothing_to_do(facts, foretold)

    def apply() -> Result:
        if keys:
            repository.change_keys(keys)
        copied = copy.run(progress) if copy else {}
        return {"repository": _facts(repository), **copied}

    return Plan(
        before={**facts, **(copy.before if copy else {})},
        after={**after, **(copy.after if copy else {})},
        result=foretold,
        apply=apply,
    )


def _check_same(request: RepositoryRequest, repository: Repository, facts: Result) -> None:
    wanted = {"encryption": request.encryption, "chunk_size": request.chunk_size}
    for key, value in wanted.items():
        if facts[key] != value:
            raise _cannot_change(request, key, facts[key], value)
    other = _other_of(request)
    if other is not None and not repository.has_master_key_of(other):
        raise _cannot_change(request, "master key", None, f"that of {other.url}")


def _other_of(request: RepositoryRequest) -> Repository | None:
    """The repository that has the master key, opened."""
    of = request.master_key_of
    return None if of is None else of.open_repository(request.secrets)


def _cannot_change(
    request: RepositoryRequest, what: str, found: object, expected: object
) -> InvalidRequest:
    return InvalidRequest(
        f"the repository is there already, with another {what}",
        path=request.url,
        found=found,
        expected=expected,
        hint="This cannot be changed. Ask for what it is, or make another repository.",
    )


def _facts(repository: Repository) -> Result:
    config = repository.config
    return {
        "url": repository.url,
        "id": config.repository_id,
        "format": VERSION,
        "encryption": config.cipher,
        "chunk_size": config.chunk_size,
        "key_list": repository.list_keys(),
    }


def _new_key(key: NewKey) -> Result:
    return {"id": None, "name": key.name, "created": None}


def _keys_after(before: list[Result], plan: KeyPlan | None) -> list[Result]:
    if plan is None:
        return before
    left = [key for key in before if key["id"] not in plan.remove]
    return left + [_new_key(key) for key in plan.add]


def plan_absent(url: str) -> Plan:
    """Delete it if it holds no restore points."""
    if not repository_exists(url):
        return nothing_to_do({}, {})
    check_removable(url)

    def apply() -> Result:
        remove_repository(url)
        return {}

    return Plan(before={"url": url}, after={}, result={}, apply=apply)
