# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The numbers by which the links of a chain know each other's content (TN p.3)."""

from __future__ import annotations

import secrets

NO_PARENT = 0xFFFFFFFF
_USE_LONG_ID = 0xFFFFFFFE  # "look at longContentID"; never a content id of its own


def new_cid() -> int:
    """A random content id that is neither of the two reserved ones."""
    while True:
        cid = secrets.randbits(32)
        if is_content_id(cid):
            return cid


def is_content_id(cid: int) -> bool:
    """Whether it names a content, as the two reserved numbers do not."""
    return cid not in (NO_PARENT, _USE_LONG_ID)


def new_long_content_id(cid: int) -> str:
    """128 bits in hex whose last 32 are the CID, as ESXi and Workstation write them."""
    return f"{secrets.token_hex(12)}{cid:08x}"


def new_uuid() -> str:
    """A ddb.uuid in VMware's own range: 60 00 C2 9x …"""
    digits = [f"{byte:02x}" for byte in secrets.token_bytes(12)]
    first = ["60", "00", "C2", f"9{secrets.randbelow(16):x}"]
    return " ".join(first + digits[:4]) + "-" + " ".join(digits[4:])


def parse_cid(text: str) -> int | None:
    """The number in a CID line; writers differ in case and padding. None if it is no number."""
    try:
        return int(text.strip(), 16)
    except ValueError:
        return None
