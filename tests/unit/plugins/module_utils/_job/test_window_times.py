# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of windows as users write them."""

from __future__ import annotations

import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.times import (
    parse_deadline,
    to_text,
)


@pytest.mark.parametrize(
    ("start", "deadline", "then"),
    [
        ("2026-11-23T22:00:00+01:00", "05:00", "2026-11-24T04:00:00Z"),
        ("2026-11-23T22:00:00Z", "22:30", "2026-11-23T22:30:00Z"),
        ("2026-11-23T22:00:00Z", "22:00", "2026-11-24T22:00:00Z"),
        ("2026-12-31T23:59:59Z", "5:00", "2027-01-01T05:00:00Z"),
        ("2026-11-23T22:00:00Z", "7h", "2026-11-24T05:00:00Z"),
        ("2026-11-23T22:00:00+01:00", "90m", "2026-11-23T22:30:00Z"),
        ("2026-11-23T22:00:00Z", "2026-11-24T05:00:00+01:00", "2026-11-24T04:00:00Z"),
    ],
)
def test_a_deadline(start, deadline, then):
    assert to_text(parse_deadline(deadline, start)) == then


@pytest.mark.parametrize(
    ("start", "then"),
    [
        ("2026-10-24T22:00:00+02:00", "2026-10-25T04:00:00Z"),  # an hour longer
        ("2026-03-28T22:00:00+01:00", "2026-03-29T03:00:00Z"),  # an hour shorter
        ("2026-10-24T22:00:00+00:00", "2026-10-25T05:00:00Z"),  # not by the clock of this host
    ],
)
def test_clocks_change_in_some_nights(monkeypatch, start, then):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        assert to_text(parse_deadline("05:00", start)) == then
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    ["", "24:00", "5", "05:60", "7x", "tomorrow", "2026-11-24T05:00:00"],
)
def test_what_is_none(text):
    with pytest.raises(InvalidRequest, match="deadline"):
        parse_deadline(text, "2026-11-23T22:00:00Z")


@pytest.mark.parametrize("text", ["0h", "2026-11-23T22:00:00Z", "2025-11-24T05:00:00Z"])
def test_a_window_without_time_is_none(text):
    with pytest.raises(InvalidRequest, match="is not after the start"):
        parse_deadline(text, "2026-11-23T22:00:00Z")
