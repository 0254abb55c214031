# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events are forgotten by themselves, and not when the tasks are that they tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..handlers import FORWARD, handles, mode
from ..soap import Call, reply

if TYPE_CHECKING:
    from ..simulator import Simulator

mode("forget_events", False)  # all that were are purged


@handles("ReadNextEvents")
def next_events(simulator: Simulator, call: Call) -> Any:
    return reply(call) if simulator.mode["forget_events"] else FORWARD
