# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How many threads a writer has, and how much may be in memory at the same time."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest
from ..._device.pipeline import DEFAULT_WORKERS
from ..._device.units import human_size
from ..format.pack import LARGEST

DEFAULT_MEMORY = 512 << 20
LEAST_MEMORY = 256 << 20
MOST_WORKERS = 64
_OWN = 128 << 20  # the program and its libraries; scrypt has 64 MiB of it at the beginning
_PACK = LARGEST + LARGEST // 8  # an object store takes packs from memory, with room to grow
_MOST_PACKS = 4


class Budget(t.NamedTuple):
    """`window`: chunks that are read and not stored yet; `packs`: full ones that are not durable
    yet, beside the one that is being filled."""

    workers: int
    window: int
    packs: int


def plan_budget(
    chunk_size: int, workers: int | None = None, memory_limit: int | None = None
) -> Budget:
    """Raises InvalidRequest. `memory_limit` is in bytes."""
    memory = DEFAULT_MEMORY if memory_limit is None else memory_limit
    threads = DEFAULT_WORKERS if workers is None else workers
    if memory < LEAST_MEMORY:
        raise InvalidRequest(
            "memory_limit is too small for a backup",
            found=human_size(memory),
            expected=f"at least {human_size(LEAST_MEMORY)}",
        )
    if not 1 <= threads <= MOST_WORKERS:
        raise InvalidRequest(
            "this number of workers is not possible",
            found=threads,
            expected=f"1 to {MOST_WORKERS}",
        )
    chunk = 2 * chunk_size  # as it is, and compressed
    # Four for each thread, so that all work on while the one who stores has to wait.
    window = max(1, min(4 * threads, memory // 8 // chunk))
    packs = (memory - _OWN - window * chunk) // _PACK - 1
    return Budget(min(threads, window), window, max(0, min(packs, _MOST_PACKS)))
