# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Times as users write them, and as results do."""

from __future__ import annotations

import datetime
import re

from ..._device.errors import InvalidRequest
from ..._device.units import parse_age

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_AGE = re.compile(r"\d+[a-zA-Z]")


def to_text(time: float) -> str:
    """`2026-11-23T22:00:00Z`"""
    return f"{datetime.datetime.fromtimestamp(time, datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def parse_time(text: str, option: str) -> float:
    """Seconds since the epoch of `2026-11-23T22:00:00Z`. Raises InvalidRequest."""
    return _moment(text, option).timestamp()


def parse_deadline(text: str, start: str) -> float:
    """As parse_time; and `05:00`, which is the next one after `start`, in its zone, and `7h` after
    it. Raises InvalidRequest, also where that is not after it."""
    begin = _moment(start, "start")
    end = _deadline(text.strip(), begin)
    if end <= begin.timestamp():
        raise InvalidRequest(
            f"the deadline {text!r} is not after the start",
            found=f"{to_text(end)}, and a start at {to_text(begin.timestamp())}",
        )
    return end


def _deadline(text: str, begin: datetime.datetime) -> float:
    if clock := _CLOCK.fullmatch(text):
        return _next(begin, datetime.time(int(clock[1]), int(clock[2])))
    if _AGE.fullmatch(text):
        return begin.timestamp() + parse_age(text, "deadline")
    return parse_time(text, "deadline")


def _next(begin: datetime.datetime, clock: datetime.time) -> float:
    """By the clock on the wall. Where the offset is that of this host, its clocks may change in
    that night."""
    zone = None if begin.astimezone().utcoffset() == begin.utcoffset() else begin.tzinfo
    today = datetime.datetime.combine(begin.date(), clock, zone)
    tomorrow = today + datetime.timedelta(days=1)
    now = begin.timestamp()
    return today.timestamp() if today.timestamp() > now else tomorrow.timestamp()


def _moment(text: str, option: str) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(re.sub("Z$", "+00:00", text.strip()))
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        hint = "Write date, time and zone: 2026-11-23T22:00:00Z or 2026-11-23T22:00:00+01:00."
        raise InvalidRequest(f"{option}: {text!r} is not a time", hint=hint)
    return time
