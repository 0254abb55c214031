# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Decoded chunks: those that were used last, and those that will be asked for next."""

from __future__ import annotations

import collections
import threading
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor

from ..._device.errors import DiskError
from ..._device.pipeline import DEFAULT_WORKERS

if t.TYPE_CHECKING:
    from collections.abc import Callable

    LoadInto = Callable[[int, memoryview], None]

CACHED_BYTES = 32 << 20
_DEEPEST = 8  # chunks ahead of a reader
_STREAMS = 8  # readers that are followed at the same time


class _Held:
    """A chunk in the cache, loaded or about to be."""

    def __init__(self, future: Future[bytearray], ahead: bool) -> None:
        self.future = future
        self.ahead = ahead  # nobody has asked for it yet
        self.content: bytearray | None = None  # once it was asked for and is there


class ChunkCache:
    """Answers reads inside of one chunk. Safe to use from many threads.

    Who reads a disk in small steps from one chunk to the next has the following ones decoded on
    other threads. Nothing is decoded ahead for who jumps about, or reads on several threads
    already. What goes wrong ahead of a reader is told when it is asked for, not before.
    """

    def __init__(
        self, chunk_size: int, load_into: LoadInto, length_ahead: Callable[[int], int]
    ) -> None:
        """load_into(number, target) fills target with a chunk; length_ahead(number) is how many
        bytes it has, 0 if it is not worth loading."""
        self._load_into, self._length_ahead = load_into, length_ahead
        self._most = max(4, CACHED_BYTES // chunk_size)
        self._deepest = min(_DEEPEST, self._most // 4)
        self._lock = threading.Lock()
        self._held: collections.OrderedDict[int, _Held] = collections.OrderedDict()
        self._expected: collections.OrderedDict[int, int] = collections.OrderedDict()
        self._loading = 0
        self._pool: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, number: int) -> bool:
        return number in self._held

    def read(self, number: int, length: int, start: int, target: memoryview) -> None:
        """Fill target with what a chunk of `length` bytes has from `start` on."""
        content = self._ready(number)
        if content is None and target.nbytes == length and number not in self._held:
            self._load_into(number, target)  # no need to keep it
            return
        if content is None:
            content = self._get(number, length, start)
        target[:] = memoryview(content)[start : start + target.nbytes]

    def close(self) -> None:
        """Let go of threads and memory."""
        with self._lock:
            pool, self._pool = self._pool, None
            self._held.clear()
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _ready(self, number: int) -> bytearray | None:
        """The short way, for nearly all small reads."""
        with self._lock:
            held = self._held.get(number)
            if held is None or held.content is None:
                return None
            self._held.move_to_end(number)
            return held.content

    def _get(self, number: int, length: int, start: int) -> bytearray:
        with self._lock:
            held = self._held.get(number)
            if held is None or held.ahead:  # it is asked for the first time
                self._look_ahead(number, is_at_begin=4 * start <= length)
            # What waits for a thread is done sooner here. So nobody waits for what has not begun.
            mine = held is None or held.future.cancel()
            if held is None or mine:
                held = self._held[number] = _Held(Future(), ahead=False)
                held.future.set_running_or_notify_cancel()
            held.ahead = False
            self._held.move_to_end(number)
            self._loading += mine
            while len(self._held) > self._most:
                self._held.popitem(last=False)[1].future.cancel()
        held.content = (
            self._load(number, length, held) if mine else self._wait(number, length, held)
        )
        return held.content

    def _look_ahead(self, number: int, is_at_begin: bool) -> None:
        depth = self._expected.pop(number, 0) if is_at_begin else 0
        self._expected[number + 1] = min(max(1, 2 * depth), self._deepest)
        if len(self._expected) > _STREAMS:
            self._expected.popitem(last=False)
        if self._loading:
            return
        for following in range(number + 1, number + 1 + depth):
            length = 0 if following in self._held else self._length_ahead(following)
            if length:
                self._pool = self._pool or ThreadPoolExecutor(DEFAULT_WORKERS)
                try:
                    future = self._pool.submit(self._decode, following, length)
                except RuntimeError:  # no more threads here, or the program is ending
                    return
                self._held[following] = _Held(future, ahead=True)

    def _decode(self, number: int, length: int) -> bytearray:
        content = bytearray(length)
        self._load_into(number, memoryview(content))
        return content

    def _load(self, number: int, length: int, held: _Held) -> bytearray:
        try:
            content = self._decode(number, length)
        except BaseException as error:
            held.future.set_exception(error)
            self._forget(number, held)
            raise
        finally:
            with self._lock:
                self._loading -= 1
        held.future.set_result(content)
        return content

    def _wait(self, number: int, length: int, held: _Held) -> bytearray:
        try:
            return held.future.result()
        except DiskError:  # on another thread, some time ago: what counts is what is there now
            self._forget(number, held)
            return self._decode(number, length)

    def _forget(self, number: int, held: _Held) -> None:
        with self._lock:
            if self._held.get(number) is held:
                del self._held[number]
