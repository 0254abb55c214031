# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Changed block tracking against the truth: all of a disk, read and compared."""

from __future__ import annotations

import bisect
import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..._device.extent import Extent
    from ..machine.marks import DiskMark
    from .changes import Changes


def judged(changes: Changes, differing: Iterable[Extent]) -> DiskMark:
    """The mark to record once all of the disk was read.

    differing: the chunks that differ from the earlier state, each by itself. The mark is `proved`
    if vCenter named them all; `untracked` and `blind` if it missed one: then the operator is to be
    told, and tracking begins anew at the next backup (tracking.prepare_tracking). Where nothing
    differs, or vCenter names most of the disk, nothing is proved.
    """
    if changes.claimed is None:
        return changes.mark
    chunks = list(differing)
    missed = _missed(chunks, changes.claimed)
    if missed is not None:
        reason = f"changed block tracking missed a change at byte {missed.offset}"
        return dataclasses.replace(changes.mark, proved=False, untracked=reason, blind=True)
    # Who names most of the disk, as a new tracker may, is right whatever has changed.
    could_err = 2 * sum(run.length for run in changes.claimed) <= changes.mark.capacity
    proved = changes.mark.proved or (bool(chunks) and could_err)
    return dataclasses.replace(changes.mark, proved=proved)


def _missed(chunks: Sequence[Extent], claimed: Sequence[Extent]) -> Extent | None:
    """The first chunk in which nothing is said to have changed."""
    ends = [run.end for run in claimed]
    for chunk in chunks:
        after = bisect.bisect_right(ends, chunk.offset)
        if after == len(claimed) or claimed[after].offset >= chunk.end:
            return chunk
    return None
