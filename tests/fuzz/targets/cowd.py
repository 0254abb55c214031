# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""COWD, the redo log of ESXi on VMFS: alone, and over a parent."""

from __future__ import annotations

from .. import oracle
from .. import seeds as make
from ..bundle import DISK, Part, pack
from ..mutate import mutate

__all__ = ["judge", "mutate", "seeds"]


def seeds() -> list[bytes]:
    line = 'RW {} VMFSSPARSE "d-delta.vmdk"'
    alone = {
        DISK: Part(make.text("vmfsSparse", line.format(5000))),
        "d-delta.vmdk": Part(make.cowd(5000, [0, 1, 7, 4097])),
    }
    child = {
        DISK: Part(make.text("vmfsSparse", line.format(48), parent="base.vmdk")),
        "d-delta.vmdk": Part(make.cowd(48, [3, 2, 47])),
        **make.base(48),
    }
    return [pack(alone), pack(child)]


def judge(data: bytes) -> None:
    oracle.judge(data)
