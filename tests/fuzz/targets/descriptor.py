# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a descriptor: what is not changed comes back byte for byte, what is set is there."""

from __future__ import annotations

import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.descriptor import (
    Descriptor,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.support import (
    require_supported,
)

from .. import seeds as make
from ..limits import bounded, require
from ..mutate import mutate_text

if t.TYPE_CHECKING:
    import random

    from ..mutate import Raw

_KEYS = {"CID": "00c0ffee", "ddb.comment": "a b", "changeTrackPath": "d-ctk.vmdk"}


def seeds() -> list[bytes]:
    extents = ['RW 128 SPARSE "d-s001.vmdk"', 'RDONLY 8 FLAT "a"b.vmdk" 63 ff', "NOACCESS 8 ZERO"]
    plain = make.text("twoGbMaxExtentSparse", *extents, 'encoding="UTF-8"', 'ddb.uuid = "60 00"')
    return [
        plain,
        plain.replace(b"\n", b"\r\n").replace(b"UTF-8", b"Shift_JIS").replace(b"a b", b"\x83\\"),
        make.text("vmfs", 'RW 8 VMFS "d-flat.vmdk"', "encoding=GB18030", parent="\x81.vmdk"),
    ]


def mutate(data: bytes, rng: random.Random, raw: Raw) -> bytes:
    return mutate_text(data, rng, raw)


def judge(data: bytes) -> None:
    with bounded(len(data)):
        try:
            _judge(data)
        except DiskError:
            pass


def _judge(data: bytes) -> None:
    text = Descriptor(data)
    require(text.to_bytes() == data.split(b"\0", 1)[0], "it comes back as other bytes")
    for fact in ("create_type", "cid", "parent_cid", "parent_hint", "sectors", "extents"):
        getattr(text, fact)
    text.metadata()
    for key, value in _KEYS.items():
        text.set(key, value)
        require(text.get(key) == value, f"{key} is not what it was set to")
    for index, line in enumerate(text.extents):
        text.replace_extent(index, line)
    _check_read_again(text)
    for key in _KEYS:
        text.delete(key)
        require(text.get(key) is None, f"{key} is still there")
    require_supported(text)


def _check_read_again(text: Descriptor) -> None:
    again = Descriptor(text.to_bytes())
    require(again.to_bytes() == text.to_bytes(), "what was written reads as something else")
    require(again.extents == text.extents, "other extents after writing")
    for key, value in _KEYS.items():
        require(again.get(key) == value, f"{key} is lost by writing")
