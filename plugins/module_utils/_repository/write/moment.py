# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Points in time that only go forward, whatever the clock does."""

from __future__ import annotations

import datetime
import typing as t

from ..format import times

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def after(clock: str, known: Sequence[str]) -> str:
    """The time of a new point: that of the clock, but later than all `known` ones.

    All are written as in manifests, so that they sort as texts. One that cannot be, because the
    name of a damaged file says so, does not count.
    """
    for time in sorted(known, reverse=True):
        if time < clock:
            break
        try:
            moment = times.parse(time) + datetime.timedelta(microseconds=1)
        except (ValueError, OverflowError):
            continue
        return times.to_exact(moment)
    return clock
