# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reading a grain table of which there are two copies that differ."""

from __future__ import annotations

import typing as t

from .grained import DISPUTED, ZEROED

if t.TYPE_CHECKING:
    from array import array


def reconciled(primary: array[int], redundant: array[int], end: int, unclean: bool) -> array[int]:
    """What can be trusted at once of two copies; DISPUTED where vmdk_check has to look.

    end: sectors of the file. unclean: a write may have reached only one of the copies.
    """
    result = primary[:]
    for index, (one, other) in enumerate(zip(primary, redundant, strict=True)):
        if one != other:
            result[index] = _entry(one, other, end, unclean)
    return result


def _entry(one: int, other: int, end: int, unclean: bool) -> int:
    """A hole is never the answer: an entry that was lost looks like one."""
    grains = [entry for entry in (one, other) if ZEROED < entry < end]
    if len(grains) == 1 and max(one, other) >= end:
        return grains[0]
    if unclean and min(one, other) <= ZEROED and max(one, other) < end:
        return max(one, other)  # data is on disk before the first entry that names it
    return DISPUTED
