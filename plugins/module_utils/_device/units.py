# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Sizes and times as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

from .errors import InvalidRequest

_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)
_AGE = re.compile(r"(\d{1,12})\s*([smhdw])", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 1000 * 365 * _SECONDS["d"]  # a time plus an age must stay a date


def parse_size(text: str, option: str) -> int:
    """Bytes of `10GiB`, `512M` or `1048576`. Raises InvalidRequest naming the option.

    Every unit is a power of 1024, GB and GiB alike, as VMware's tools and Ansible have it.
    """
    match = _SIZE.fullmatch(text.strip())
    # A fraction is exact where a float is not.
    size = match and Fraction(match[1]) * 1024 ** " KMGTP".index(match[2].upper() or " ")
    if size is None or size.denominator != 1:
        hint = "Write a number of bytes, or a number with a unit: 10GiB, 512MiB, 1.5TiB."
        raise InvalidRequest(f"{option}: '{text}' is not a size", hint=hint)
    return int(size)


def parse_age(text: str, option: str) -> int:
    """Seconds of `90m`, `12h` or `7d`. Raises InvalidRequest naming the option."""
    match = _AGE.fullmatch(text.strip())
    seconds = match and int(match[1]) * _SECONDS[match[2].lower()]
    if seconds is None or seconds > _LONGEST:
        hint = "Write a whole number with a unit: 90m, 12h, 7d, 2w; at most 1000 years."
        raise InvalidRequest(f"{option}: '{text}' is not a time", hint=hint)
    return seconds


def human_size(size: int) -> str:
    """`10.0 GiB`, for messages."""
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}" if unit != "bytes" else f"{size} bytes"


def exact_size(size: int) -> str:
    """`1536MiB`: in the largest unit that says it exactly; parse_size() reads it."""
    unit = ""
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if size == 0 or size % 1024:
            break
        size, unit = size // 1024, larger
    return f"{size}{unit}"
