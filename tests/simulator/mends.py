# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where vcsim's answers are not what vCenter says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .handlers import after
from .soap import Call, Reply, reply

if TYPE_CHECKING:
    from .simulator import Simulator


@after("Fetch")
def unset(simulator: Simulator, call: Call, answer: Reply) -> Reply:
    """pyVmomi's `vm.snapshot` of a machine without one: an empty answer, not another method's."""
    return reply(call) if b"<RetrievePropertiesExResponse" in answer.body[:1000] else answer
