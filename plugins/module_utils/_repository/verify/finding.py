# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a verification has found."""

from __future__ import annotations

import dataclasses
import typing as t

# error: something cannot be restored. warning: damaged, but nothing is lost. note: nothing to do.
ERROR, WARNING, NOTE = "error", "warning", "note"
_SHOWN = 100  # ranges of one finding: a missing pack may be part of a thousand restore points


class Hit(t.NamedTuple):
    """Bytes of a disk of a restore point that cannot be restored."""

    point: str
    source: str
    disk: str
    offset: int
    length: int


@dataclasses.dataclass(frozen=True)
class Finding:
    """One damaged object; `offset` is a byte of it. `how`: what mends it, or what else helps."""

    kind: str
    severity: str
    object: str
    message: str
    offset: int | None = None
    hits: tuple[Hit, ...] = ()
    how: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        """For a module's result."""
        facts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        shown = [hit._asdict() for hit in self.hits[:_SHOWN]]
        return {
            **facts,
            "hits": shown,
            "hits_left_out": len(self.hits) - len(shown),
            "restore_points": sorted({hit.point for hit in self.hits}),
        }


def is_sound(findings: t.Sequence[Finding]) -> bool:
    """Whether there is nothing but notes."""
    return all(finding.severity == NOTE for finding in findings)
