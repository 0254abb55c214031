# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Numbers as people read them. Times are in UTC, whatever the zone of this machine."""

from __future__ import annotations

import datetime

from ...._device.units import human_size

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # not those of a locale
MINUTE, HOUR, DAY = 60, 3600, 86400


def duration(seconds: float | None) -> str:
    """`45 s`, `4 min 10 s`, `12 min`, `1 h 46 min`, `3 d 4 h`: two units are enough."""
    if seconds is None:
        return "unknown"
    left = max(0, round(seconds))
    if left < MINUTE:
        return f"{left} s"
    if left < 10 * MINUTE:
        return _two(left, MINUTE, "min", 1, "s")
    if left < HOUR - MINUTE / 2:
        return f"{round(left / MINUTE)} min"
    return (
        _two(left, HOUR, "h", MINUTE, "min") if left < 2 * DAY else _two(left, DAY, "d", HOUR, "h")
    )


def _two(seconds: int, large: int, larger: str, small: int, smaller: str) -> str:
    whole, rest = divmod(round(seconds / small), large // small)
    return f"{whole} {larger} {rest} {smaller}" if rest else f"{whole} {larger}"


def _utc(time: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time, datetime.timezone.utc)


def clock(time: float) -> str:
    """`22:04`"""
    return f"{_utc(time):%H:%M}"


def day(time: float) -> str:
    """`23 Nov`"""
    found = _utc(time)
    return f"{found.day} {_MONTHS[found.month - 1]}"


def moment(time: float) -> str:
    """`23 Nov, 22:04`"""
    return f"{day(time)}, {clock(time)}"


def full_moment(time: float) -> str:
    """`Mon 23 Nov 2026, 22:04`"""
    found = _utc(time)
    return f"{_DAYS[found.weekday()]} {day(time)} {found.year}, {clock(time)}"


def period(start: float, end: float) -> str:
    """The second day only where it is another one."""
    last = clock(end) if day(start) == day(end) and end - start < DAY else full_moment(end)
    return f"{full_moment(start)} to {last}"


def size(count: int | None) -> str:
    return "unknown" if count is None else human_size(count)


def share(part: float, whole: float) -> str:
    """`2.5 %`; nothing of nothing is all of it, and only all of it is 100 %."""
    percent = 100.0 * part / whole if whole else 100.0
    if 99 <= percent < 100:
        return "99 %"
    return f"{percent:.1f} %" if 0 < percent < 10 else f"{percent:.0f} %"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 machine`, `1,000 machines`"""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(told: str) -> str:
    """With a capital letter, and a full stop."""
    whole = told if told.endswith((".", "!", "?")) or not told else f"{told}."
    return whole[:1].upper() + whole[1:]


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`"""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
