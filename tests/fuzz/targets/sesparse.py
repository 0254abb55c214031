# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""seSparse, the redo log of ESXi on VMFS 6: alone, and over a parent."""

from __future__ import annotations

from .. import oracle
from .. import seeds as make
from ..bundle import DISK, Part, pack
from ..mutate import mutate

__all__ = ["judge", "mutate", "seeds"]


def seeds() -> list[bytes]:
    line = 'RW {} SESPARSE "d-sesparse.vmdk"'
    alone = {
        DISK: Part(make.text("seSparse", line.format(1032))),
        "d-sesparse.vmdk": Part(make.sesparse(1032, {0: 3, 1: 3, 2: 1, 3: 2, 128: 3})),
    }
    child = {
        DISK: Part(make.text("seSparse", line.format(48), parent="base.vmdk")),
        "d-sesparse.vmdk": Part(make.sesparse(48, {0: 3, 2: 1, 3: 2, 5: 3})),
        **make.base(48),
    }
    return [pack(alone), pack(child)]


def judge(data: bytes) -> None:
    oracle.judge(data)
