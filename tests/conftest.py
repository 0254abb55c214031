# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no reason to fail; and a failure found once should be found again.
settings.register_profile("vdisk", deadline=None, print_blob=True)
settings.load_profile("vdisk")
