# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""monolithicSparse: header, descriptor, two copies of the tables, grains."""

from __future__ import annotations

from .. import oracle
from .. import seeds as make
from ..bundle import DISK, Part, pack
from ..mutate import mutate

__all__ = ["judge", "mutate", "seeds"]


def seeds() -> list[bytes]:
    disks = [
        make.sparse(20, [0, 2]),
        make.sparse(3 * 1024, [200, 0, 1, 130, 383], unclean=1),
        make.sparse(2048, [5, 6, 7], flags=make.SPARSE_ZEROED, zeroed=(0, 9)),
        make.sparse(1024, [1], flags=0x1),
    ]
    return [pack({DISK: Part(disk)}) for disk in disks] + make.corpus("dfvfs/ext2.vmdk")


def judge(data: bytes) -> None:
    oracle.judge(data)
