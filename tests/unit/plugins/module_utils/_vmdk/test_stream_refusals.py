# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the writer of streams refuses."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    OutOfRange,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream import (
    writer as stream_writer,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.new_streams import (
    GRAIN,
    content_of,
    noise,
)


def refused(action, *arguments, error=InvalidRequest, **options):
    with pytest.raises(error) as caught:
        action(*arguments, **options)
    return caught.value


def test_grain_written_twice(writer):
    stream = writer(1 << 20)
    stream.write(0, noise(0))
    assert refused(stream.write, 0, noise(1)).offset == 0


def test_write_before_the_last_one(writer, path):
    stream = writer(1 << 20)
    stream.write(4 * GRAIN, noise(4))
    error = refused(stream.write, 2 * GRAIN, noise(2))
    assert str(4 * GRAIN + GRAIN) in error.expected
    stream.finish()
    assert content_of(path)[4 * GRAIN : 5 * GRAIN] == noise(4)


def test_write_that_begins_inside_a_grain(writer):
    refused(writer(1 << 20).write, 512, noise(0))


def test_write_that_ends_inside_a_grain(writer):
    refused(writer(1 << 20).write, 0, noise(0, GRAIN + 512))


def test_write_beyond_the_end(writer):
    refused(writer(GRAIN).write, 0, noise(0, 2 * GRAIN), error=OutOfRange)


def test_zero_ahead_changes_nothing(writer, path):
    stream = writer(1 << 20)
    stream.zero(0, 8 * GRAIN)
    stream.write(2 * GRAIN, noise(2))
    stream.zero(3 * GRAIN, 1000)
    stream.finish()
    assert content_of(path)[2 * GRAIN : 3 * GRAIN] == noise(2)


def test_zero_over_what_is_written(writer):
    stream = writer(1 << 20)
    stream.write(2 * GRAIN, noise(2))
    refused(stream.zero, 2 * GRAIN, 512)


def test_read_before_it_is_finished(writer):
    refused(read, writer(1 << 20), 0, 512)


@pytest.mark.parametrize("grain_sectors", [0, 1, 4, 100, 256])
def test_grain_size_that_others_cannot_read(writer, grain_sectors):
    refused(writer, 1 << 20, grain_sectors=grain_sectors)


@pytest.mark.parametrize("level", [-1, 10])
def test_level_that_does_not_exist(writer, level):
    refused(writer, 1 << 20, level=level)


def test_file_beyond_what_entries_can_address(writer, monkeypatch):
    stream = writer(1 << 20)
    monkeypatch.setattr(stream_writer, "_MAX_SECTOR", 128 + 129)
    stream.write(0, noise(0)[: GRAIN - 1000] + bytes(1000))
    refused(stream.write, GRAIN, noise(1), error=UnsupportedDisk)


def test_closing_twice_is_fine(writer):
    stream = writer(1 << 20)
    stream.close()
    stream.close()


def test_file_is_whole_sectors(writer, path):
    stream = writer(1 << 20)
    stream.write(0, noise(0))
    stream.finish()
    assert path.stat().st_size % 512 == 0
