# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What killed jobs have left beside a disk."""

from __future__ import annotations

import os
import re

from ..._device.files import TEMPORARY_SUFFIX
from ..files.paths import folder_of
from .family import MARK
from .journal import SUFFIX


def leftovers(path: str) -> list[str]:
    """Temporary files of this disk; those that a journal still needs are none."""
    if os.path.exists(path + SUFFIX):
        return []
    folder, (stem, suffix) = folder_of(path), os.path.splitext(os.path.basename(path))
    ours = re.compile(
        rf"{re.escape(stem)}(-flat|-[sf]\d{{3,}})?{re.escape(suffix)}"
        rf"({re.escape(SUFFIX)}|{re.escape(MARK)})?{re.escape(TEMPORARY_SUFFIX)}"
    )
    names = sorted(name for name in os.listdir(folder) if ours.fullmatch(name))
    return [os.path.join(folder, name) for name in names]
