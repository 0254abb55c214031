# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of backup windows, made by the module."""

# pylint: disable=unused-import
from __future__ import annotations

# modules.vmdk_window_report(…), in a process of its own
from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    modules,
    zygote,
)
