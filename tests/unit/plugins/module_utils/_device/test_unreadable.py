# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is lost cannot be read, and all else can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskIOError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.unreadable import Unreadable

SIZE = 64
RANGES = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), max_size=5)


@given(RANGES, st.integers(0, SIZE), st.integers(1, SIZE))
def test_any_byte_of_a_lost_range_fails_the_read(ranges, offset, length):
    content = bytes(range(SIZE))
    length = min(length, SIZE - offset)
    lost = {byte for start, size in ranges for byte in range(start, start + size)}
    with Unreadable(MemoryDevice(content), ranges) as device:
        if lost & set(range(offset, offset + length)):
            with pytest.raises(DiskIOError):
                read(device, offset, length)
        else:
            assert read(device, offset, length) == content[offset : offset + length]
