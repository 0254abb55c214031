# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
# pylint: disable=unused-import
from __future__ import annotations

from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    content_by_qemu,
    digest_of_tree,
    make_disk,
    modules,
    repository,
    shelf,
    zygote,
)
