# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The few things used last."""

from __future__ import annotations

import collections
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

Key = t.TypeVar("Key", bound="t.Hashable")
Value = t.TypeVar("Value")


class Recent(t.Generic[Key, Value]):
    """A cache of at most `limit` values, for many threads. Two may load the same value at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: collections.OrderedDict[Key, Value] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, load: Callable[[Key], Value]) -> Value:
        """The value of `key`; load(key) makes it where it is not held."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = load(key)
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._limit:
                self._values.popitem(last=False)
        return value
