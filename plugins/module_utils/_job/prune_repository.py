# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Old restore points go, and then the space that only they needed."""

from __future__ import annotations

import typing as t

from .plan import Plan, Result, nothing_to_do

if t.TYPE_CHECKING:
    from .._repository.format.manifest import RestorePoint
    from .._repository.prune.prune import Pruned, PruneRequest
    from .._repository.prune.retention import Verdict
    from .access import Access


def plan_prune(access: Access, request: PruneRequest) -> Plan:
    """Decided by reading; a real run decides again, alone in the repository."""
    prune = access.open_repository().prune(request)
    forecast = prune.forecast()
    result = _result(forecast, request.source)
    if not forecast.changes:
        return nothing_to_do({}, result)
    return Plan(
        before=_before(forecast),
        after=_after(forecast),
        result=result,
        apply=lambda: _result(prune.run(), request.source),
    )


def _result(pruned: Pruned, source: str | None) -> Result:
    verdicts = pruned.decision.verdicts
    found = pruned.survey
    warnings = [_locked(pruned.locked)] if pruned.locked else []
    if source is not None and not verdicts:
        warnings.append(f"No restore point is of {source}, so the rules were for nothing.")
    return {
        **({"warnings": warnings} if warnings else {}),
        "kept": [_told(verdict) for verdict in verdicts if verdict.keep],
        "dropped": [_told(verdict) for verdict in verdicts if not verdict.keep],
        "compacted": pruned.compacted._asdict(),
        "collected": None if found is None else found.as_dict(),
    }


def _locked(packs: int) -> str:
    return (
        f"Nothing needs {packs} pack{'s' if packs > 1 else ''} any more that the store does not "
        "let us delete: locked, or not ours to delete with these credentials. A later run tries "
        "again."
    )


def _told(verdict: Verdict) -> Result:
    point = verdict.point
    return {
        "id": point.id,
        "name": point.name,
        "source": point.source_name or point.source_id,
        "created": point.created,
        "reasons": list(verdict.reasons),
    }


def _before(pruned: Pruned) -> Result:
    return {
        "restore_points": [_label(verdict.point) for verdict in pruned.decision.verdicts],
        **_packs(pruned, after=False),
    }


def _after(pruned: Pruned) -> Result:
    verdicts = pruned.decision.verdicts
    return {
        "restore_points": [_label(verdict.point) for verdict in verdicts if verdict.keep],
        "dropped": {
            _label(verdict.point): ", ".join(verdict.reasons)
            for verdict in verdicts
            if not verdict.keep
        },
        "held": [_label(point) for point in pruned.decision.hold],
        "released": [key.rpartition("/")[2] for key in pruned.decision.release],
        **_packs(pruned, after=True),
    }


def _packs(pruned: Pruned, *, after: bool) -> Result:
    found = pruned.survey
    if found is None:
        return {}
    packs, size = len(found.sizes), sum(found.sizes.values())
    if not after:
        return {"packs": packs, "stored": size}
    return {
        "packs": packs - len(found.delete),
        "stored": size - found.bytes_of(found.delete),
        "condemned_packs": len(found.new),
        "sparse_packs": pruned.compacted.packs,
    }


def _label(point: RestorePoint) -> str:
    return f"{point.source_name or point.source_id}@{point.id}"
