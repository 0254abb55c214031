# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and times as people write them."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import (
    human_size,
    parse_age,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("10GiB", 10 << 30),
        ("10 gb", 10 << 30),
        ("10g", 10 << 30),
        ("1.5TiB", 3 << 39),
        (" 64 MiB ", 64 << 20),
        ("2PiB", 2 << 50),
        ("9007199254740993", (1 << 53) + 1),
    ],
)
def test_size(text, size):
    assert parse_size(text, "size") == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "1e3", "10 GiBs", "0x10", "1.0001KiB", "ten", "9" * 400]
)
def test_what_is_no_size(text):
    with pytest.raises(InvalidRequest, match="chunk_size"):
        parse_size(text, "chunk_size")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("12h", 43200), ("7 d", 604800), ("2W", 1209600)]
)
def test_age(text, seconds):
    assert parse_age(text, "max_age") == seconds


@pytest.mark.parametrize(
    "text", ["", "12", "h", "-1h", "1.5h", "1h30m", "365001d", "9" * 5000 + "d"]
)
def test_what_is_no_age(text):
    with pytest.raises(InvalidRequest, match="max_age"):
        parse_age(text, "max_age")


@pytest.mark.parametrize(
    ("size", "text"),
    [(512, "512 bytes"), (1 << 20, "1.0 MiB"), (3 << 39, "1.5 TiB"), (5 << 60, "5242880.0 TiB")],
)
def test_human_size(size, text):
    assert human_size(size) == text
