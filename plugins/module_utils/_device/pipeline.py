# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Work on threads, results in order, memory bounded."""

from __future__ import annotations

import collections
import os
import queue
import typing as t
from concurrent.futures import ThreadPoolExecutor

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

Item = t.TypeVar("Item")
Result = t.TypeVar("Result")

# zlib, zstd, hashes and file I/O release the GIL; more than four threads gain nothing here.
DEFAULT_WORKERS = max(2, min(4, os.cpu_count() or 2))


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int = DEFAULT_WORKERS,
    window: int | None = None,
) -> Iterator[Result]:
    """function(item) for every item, in order, at most `window` of them begun and not taken."""
    window = window or 2 * workers
    pending: collections.deque[Future[Result]] = collections.deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= window:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


class BufferPool:
    """Buffers that are reused: returning big ones to the kernel costs more than the copy."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()

    def take(self) -> bytearray:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return bytearray(self.size)

    def give(self, buffer: bytearray) -> None:
        self._free.put(buffer)
