# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the restore of a machine returns."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...._repository.format.manifest import PointDisk
    from ...._vsphere.vmconfig.compare import Difference
    from ...plan import Result

_COUNTED = ("bytes_total", "bytes_read", "bytes_written", "bytes_zero", "bytes_reused")


def total(transfers: Iterable[Result]) -> Result:
    """Of several disks, one after the other."""
    known = [each for each in transfers if each]
    sums: Result = {name: sum(int(each.get(name, 0)) for each in known) for name in _COUNTED}
    seconds = sum(float(each.get("seconds", 0)) for each in known)
    roads = {str(each["transport"]): str(each["transport_reason"]) for each in known}
    return {
        **sums,
        "seconds": round(seconds, 3),
        "rate": int(sums["bytes_total"] / seconds) if seconds else 0,
        "transport": ", ".join(roads) or None,
        "transport_reason": "; ".join(dict.fromkeys(roads.values())) or None,
    }


def explained(transfer: Result, passed: Sequence[str]) -> Result:
    """With what was passed over before that transport was taken, and why."""
    if not (passed and transfer):
        return transfer
    reason = f"{transfer['transport_reason']}; passed over {'; '.join(passed)}"
    return {**transfer, "transport_reason": reason}


def disk_facts(disk: PointDisk, path: str | None, transfer: Result | None) -> Result:
    """An element of `disks`. transfer None: nothing was written."""
    facts: Result = {
        "name": disk.name,
        "label": disk.label,
        "path": path,
        "size": disk.size,
        "changed": transfer is not None,
    }
    if transfer:
        kept = ("bytes_written", "transport", "transport_reason")
        facts.update({name: transfer[name] for name in kept if name in transfer})
    return facts


def difference_facts(differences: Sequence[Difference]) -> list[Result]:
    """`differences` of results: what nobody wanted comes first."""
    ordered = sorted(differences, key=lambda each: each.intended is not None)
    return [dataclasses.asdict(each) for each in ordered]


def unwanted(differences: Sequence[Difference], name: str) -> list[str]:
    """For warnings."""
    paths = [each.path for each in differences if each.intended is None]
    if not paths:
        return []
    shown = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    return [f"{name} is not configured as it was recorded ({shown}): see differences"]


def with_warnings(result: Result, warnings: Sequence[str]) -> Result:
    return {**result, "warnings": list(dict.fromkeys(warnings))} if warnings else result
