# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One question to a mounted root that may never answer."""

from __future__ import annotations

import typing as t

from ..limits import each_within
from .root import GuestRoot

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    T = t.TypeVar("T")

SECONDS = 60


def ask(folder: str, question: Callable[[GuestRoot], T]) -> T:
    """The answer, such as JSON can carry. Raises NoAnswer, and what the question does."""

    def answers() -> Iterator[T]:
        with GuestRoot(folder) as root:
            yield question(root)

    (answer,) = each_within(SECONDS, answers)
    return t.cast("T", answer)
