# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Times as users write them, and as results do."""

from __future__ import annotations

import datetime
import re

from ..._device.errors import InvalidRequest


def to_text(time: float) -> str:
    """`2026-11-23T22:00:00Z`"""
    return f"{datetime.datetime.fromtimestamp(time, datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def parse_time(text: str, option: str) -> float:
    """Seconds since the epoch of `2026-11-23T22:00:00Z`. Raises InvalidRequest."""
    try:
        time = datetime.datetime.fromisoformat(re.sub("Z$", "+00:00", text.strip()))
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        hint = "Write date, time and zone: 2026-11-23T22:00:00Z or 2026-11-23T22:00:00+01:00."
        raise InvalidRequest(f"{option}: {text!r} is not a time", hint=hint)
    return time.timestamp()
