# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Names as vCenter keeps them, and as people write them."""

from __future__ import annotations

import re

_PLAIN = {"2f": "/", "5c": "\\", "25": "%"}


def plain(name: str) -> str:
    """vCenter keeps a slash, a backslash and a percent sign in names as in URLs."""
    return re.sub("%(2f|5c|25)", lambda found: _PLAIN[found[1].lower()], name, flags=re.IGNORECASE)
