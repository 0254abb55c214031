# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of many files: children over parents, split, flat with offsets, ZERO and NOACCESS."""

from __future__ import annotations

from .. import oracle
from .. import seeds as make
from ..bundle import DISK, Part, pack
from ..mutate import mutate

__all__ = ["judge", "mutate", "seeds"]


def seeds() -> list[bytes]:
    child = {
        DISK: Part(make.sparse(64, [1, 4], parent="base.vmdk")),
        **make.base(40),  # shorter than its child
    }
    zeroed = make.sparse(40, [4], flags=make.SPARSE_ZEROED, zeroed=(1,), parent="base.vmdk")
    split = {
        DISK: Part(
            make.text(
                "custom",
                'RW 16 SPARSE "d-s001.vmdk"',
                'RDONLY 4 FLAT "d-flat.vmdk" 3',
                "RW 9 ZERO",
                'NOACCESS 2 FLAT "d-flat.vmdk" 0',
                'RW 12 SPARSE "d-s002.vmdk"',
            )
        ),
        "d-s001.vmdk": Part(make.sparse(16, [1], descriptor=b"")),
        "d-s002.vmdk": Part(make.sparse(16, [0], descriptor=b"")),
        "d-flat.vmdk": Part(make.flat(8)),
    }
    return [pack(child), pack({DISK: Part(zeroed), **make.base(40)}), pack(split)]


def judge(data: bytes) -> None:
    oracle.judge(data)
