# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of our own streams write into them, and read from them."""

from __future__ import annotations

import random

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.stream import (
    StreamExtent,
)

DESCRIPTOR = b"# Disk DescriptorFile\nversion=1\n"
GRAIN = 65536


def noise(seed, size=GRAIN):
    return random.Random(seed).randbytes(size)


def content_of(path):
    with File(path) as file:
        device = StreamExtent(file, SparseHeader.parse(file.read(0, 512), str(path)))
        return read(device, 0, device.size)
