# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that the user may not read: of their properties vCenter shows none, without a fault."""

from __future__ import annotations

import re

from ..handlers import after, mode
from ..simulator import Simulator
from ..soap import Call, Reply

mode("withheld", [])  # ids of machines

_OBJECT = re.compile(rb"<objects>.*?</objects>", re.DOTALL)
_VALUES = re.compile(rb"<propSet>.*?</propSet>", re.DOTALL)


@after("RetrievePropertiesEx")
def withhold(simulator: Simulator, call: Call, reply: Reply) -> Reply:
    hidden = [f">{moref}</obj>".encode() for moref in simulator.mode["withheld"]]

    def shown(found: re.Match[bytes]) -> bytes:
        text = found[0]
        return _VALUES.sub(b"", text) if any(moref in text for moref in hidden) else text

    if hidden:
        reply.body = _OBJECT.sub(shown, reply.body)
    return reply
