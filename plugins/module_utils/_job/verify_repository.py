# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A repository is verified, and what is damaged is put where no backup uses it again."""

from __future__ import annotations

import typing as t

from .._repository.format.quarantine import quarantine_key
from .._repository.verify.finding import NOTE
from .._repository.verify.remedy import Remedy
from .plan import Plan, Result, nothing_to_do

if t.TYPE_CHECKING:
    from .._repository.verify.verify import Verified, Wish
    from .access import Access

_NAMED = 3  # damaged objects that the message of a failure lists


def plan_verify(access: Access, wish: Wish, *, fail_on_damage: bool) -> Plan:
    """Verifying is the probe, so check mode does all of it. Raises RepositoryNotFound, WrongKey,
    InvalidRequest, RestorePointNotFound."""
    repository = access.open_repository()
    verified = repository.verify(wish)
    result = _report(verified, fail_on_damage, repository.url)
    remedy = verified.remedy
    if not wish.quarantine or not remedy.is_needed:
        return nothing_to_do({}, result)

    result.update(_done(remedy))

    def apply() -> Result:
        repository.apply(remedy)
        return result

    return Plan(
        before={
            **dict.fromkeys(result["lifted"], "in quarantine"),
            **dict.fromkeys(remedy.mend, "damaged or missing"),
        },
        after={
            **{quarantine_key(pack): why.message for pack, why in remedy.faults.items()},
            **dict.fromkeys(remedy.mend, "as its twin"),
        },
        result=result,
        apply=apply,
    )


def _done(remedy: Remedy) -> Result:
    """Keys of objects."""
    return {
        "quarantined": [quarantine_key(pack) for pack in remedy.faults],
        "lifted": [quarantine_key(pack) for pack in remedy.lift],
        "mended": list(remedy.mend),
    }


def _report(verified: Verified, fail_on_damage: bool, url: str) -> Result:
    result: Result = {
        "ok": verified.ok,
        "findings": [finding.as_dict() for finding in verified.findings],
        "checked": {
            "objects": verified.objects,
            "bytes": verified.bytes,
            "seconds": verified.seconds,
        },
        **_done(Remedy({}, [], [])),
    }
    if verified.sample is not None:
        result["sample"] = verified.sample
    if fail_on_damage and not verified.ok:
        result.update(failed=True, msg=_message(verified, url))
    return result


def _message(verified: Verified, url: str) -> str:
    """What the operator reads first."""
    damaged = [finding for finding in verified.findings if finding.severity != NOTE]
    points = sorted({hit.point for finding in damaged for hit in finding.hits})
    named = "; ".join(f"{one.object}: {one.message}. {one.how}" for one in damaged[:_NAMED])
    more = f"; and {len(damaged) - _NAMED} more in findings" if len(damaged) > _NAMED else ""
    hit = f" {len(points)} restore points cannot be restored whole." if points else ""
    return f"{url}: {len(damaged)} damaged.{hit} {named}{more}"
