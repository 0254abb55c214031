# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a check has found."""

from __future__ import annotations

import dataclasses

ERROR, WARNING, NOTE = "error", "warning", "note"  # a note alone leaves a disk healthy


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault of one file; `offset` is a byte of it. `how`: what mends it, or what else helps."""

    kind: str
    severity: str
    path: str
    message: str
    offset: int | None = None
    repairable: bool = False
    how: str = ""

    def as_dict(self) -> dict[str, object]:
        """For a module's result."""
        return dataclasses.asdict(self)


def is_healthy(findings: list[Finding]) -> bool:
    """Whether there is nothing but notes."""
    return all(finding.severity == NOTE for finding in findings)
