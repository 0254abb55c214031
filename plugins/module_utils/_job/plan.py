# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a job is going to do, decided before it touches anything."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

Result = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Made by probing. Check mode shows it, apply() executes this very plan.

    `result` is what the module returns when apply() is not called: nothing to do, or check mode.
    Where only a long look can tell whether anything will change, check mode calls predict(), and
    apply(), which looks anyway, says `changed` in its result.
    """

    before: Result
    after: Result
    result: Result
    apply: Callable[[], Result] | None = None
    predict: Callable[[], bool] | None = None

    def run(self, check_mode: bool) -> Result:
        """Apply it, or in check mode only say what would change; the result has `changed`."""
        if self.apply is None:
            return {"changed": False, **self.result}
        if check_mode:
            return {"changed": self.predict is None or self.predict(), **self.result}
        return {"changed": True, **self.apply()}

    @property
    def diff(self) -> Result:
        return {"before": self.before, "after": self.after}


def nothing_to_do(state: Result, result: Result) -> Plan:
    """Everything is as it was asked for."""
    return Plan(before=state, after=state, result=result)
