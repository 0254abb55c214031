# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Telling by its first bytes what a file is."""

from __future__ import annotations

import re
import typing as t

from ..._device.errors import NotADisk, UnsupportedDisk
from ..descriptor.support import encrypted, is_encrypted
from .header import MAGIC, SECTOR, TEMPORARY_MAGIC, SparseHeader

if t.TYPE_CHECKING:
    from ..._device.files import File

_HEAD = 4096
# No comment is asked for: the specification says that comments mean nothing (TN p.3).
_DESCRIPTOR_KEY = re.compile(
    rb"^[ \t]*(createType|parentCID|CID|version)[ \t]*=", re.IGNORECASE | re.MULTILINE
)
_VMWARE_KINDS = {
    b"COWD": "an extent of an ESXi redo log (COWD)",
    b"\xbe\xba\xfe\xca\0\0\0\0": "an extent of an ESXi redo log (seSparse)",
    b"\xa2\x72\x19\xf6": "a changed-block tracking file (-ctk.vmdk)",
}
_STRANGERS = (
    (0, b"QFI\xfb", "a qcow2 image"),
    (0, b"conectix", "a VHD image"),
    (0, b"vhdxfile", "a VHDX image"),
    (0x40, b"\x7f\x10\xda\xbe", "a VDI image"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (0, b"\xfd7zXZ", "an xz file"),
    (0, b"PK\x03\x04", "a zip file"),
    (257, b"ustar", "a tar file, perhaps an OVA"),
    (510, b"\x55\xaa", "a raw disk with a boot sector"),
)


def sparse_header(file: File) -> SparseHeader | None:
    """The header of a sparse extent or a stream; None for a descriptor's text.

    Raises NotADisk for anything else, UnsupportedDisk for other files of VMware disks.
    """
    head = bytes(file.read(0, min(_HEAD, file.size)))
    if head[:4] in (MAGIC, TEMPORARY_MAGIC):
        return SparseHeader.parse(head, file.path)
    if _DESCRIPTOR_KEY.search(head.split(b"\0", 1)[0]):
        return None
    if is_encrypted(head):
        raise encrypted(file.path)
    for magic, what in _VMWARE_KINDS.items():
        if head.startswith(magic):
            raise UnsupportedDisk(
                f"is {what}, not a disk",
                path=file.path,
                hint="Name the descriptor (.vmdk) of the disk instead.",
            )
    raise NotADisk(
        "is not a VMDK", path=file.path, found=_what(head), expected="a descriptor or KDMV"
    )


def _what(head: bytes) -> str:
    for place, magic, what in _STRANGERS:
        if head[place : place + len(magic)] == magic:
            return what
    if not head:
        return "an empty file"
    if not any(head[:SECTOR]):
        return "zeros"
    return f"the bytes {head[:8].hex(' ')}"
