# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Points in time as documents write them: UTC, to the second or to the microsecond.

Texts of one form sort as the times do.
"""

from __future__ import annotations

import datetime
import re

_SECOND = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_EXACT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def now() -> datetime.datetime:
    """What the clock of this host says."""
    return datetime.datetime.now(datetime.timezone.utc)


def to_second(time: datetime.datetime) -> str:
    """2026-11-22T02:00:00Z"""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def to_exact(time: datetime.datetime) -> str:
    """2026-11-22T02:00:00.000000Z"""
    return f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"


def parse(text: str) -> datetime.datetime:
    """Either form. Raises ValueError."""
    return datetime.datetime.fromisoformat(text.rstrip("Z") + "+00:00")


def is_second(text: str) -> bool:
    """Whether it is a time of this form; February 30 is none."""
    return _is_time(text, _SECOND)


def is_exact(text: str) -> bool:
    return _is_time(text, _EXACT)


def _is_time(text: str, form: re.Pattern[str]) -> bool:
    if form.fullmatch(text) is None:
        return False
    try:
        parse(text)
    except ValueError:
        return False
    return True
