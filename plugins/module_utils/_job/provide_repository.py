# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A repository that is there, or is not."""

from __future__ import annotations

import dataclasses

from .._device.errors import InvalidRequest
from .._repository.format.config import VERSION
from .._repository.keep.removal import check_removable, remove_repository
from .._repository.repository import Repository, check_new, create_repository, repository_exists
from .plan import Plan, Result, nothing_to_do


@dataclasses.dataclass(frozen=True)
class RepositoryRequest:
    """The repository that shall be there; chunk_size in bytes."""

    url: str
    passphrase: str | None = dataclasses.field(repr=False)
    encryption: str
    chunk_size: int


def plan_present(request: RepositoryRequest) -> Plan:
    """Create it; if it is there, it must open and be what is asked for."""
    if repository_exists(request.url):
        return _plan_existing(request)
    check_new(
        request.url,
        passphrase=request.passphrase,
        encryption=request.encryption,
        chunk_size=request.chunk_size,
    )
    after: Result = {
        "url": request.url,
        "encryption": request.encryption,
        "chunk_size": request.chunk_size,
    }

    def apply() -> Result:
        made = create_repository(
            request.url,
            passphrase=request.passphrase,
            encryption=request.encryption,
            chunk_size=request.chunk_size,
        )
        return {"repository": _facts(made)}

    return Plan(before={}, after=after, result={"repository": after}, apply=apply)


def _plan_existing(request: RepositoryRequest) -> Plan:
    facts = _facts(Repository.open(request.url, request.passphrase))
    wanted = {"encryption": request.encryption, "chunk_size": request.chunk_size}
    for key, value in wanted.items():
        if facts[key] != value:
            raise InvalidRequest(
                f"the repository is there already, with another {key}",
                path=request.url,
                found=facts[key],
                expected=value,
                hint="This cannot be changed. Ask for what it is, or make another repository.",
            )
    return nothing_to_do(facts, {"repository": facts})


def _facts(repository: Repository) -> Result:
    config = repository.config
    return {
        "url": repository.url,
        "id": config.repository_id,
        "format": VERSION,
        "encryption": config.cipher,
        "chunk_size": config.chunk_size,
    }


def plan_absent(request: RepositoryRequest) -> Plan:
    """Delete it if it holds no restore points."""
    if not repository_exists(request.url):
        return nothing_to_do({}, {})
    check_removable(request.url)

    def apply() -> Result:
        remove_repository(request.url)
        return {}

    return Plan(before={"url": request.url}, after={}, result={}, apply=apply)
