# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The ways to write the uuid of a disk."""

from __future__ import annotations

import re

from ..._device.errors import InvalidRequest

UUID = re.compile(r"[0-9a-f]{32}")
_VENDOR = "6000c29"  # VMware's NAA prefix


def plain_uuid(uuid: str) -> str:
    """32 small hexadecimal digits, whichever way the uuid of a disk is written.

    Raises InvalidRequest.
    """
    digits = re.sub(r"[\s-]", "", uuid).lower()
    if not UUID.fullmatch(digits):
        raise InvalidRequest("is no uuid of a disk", found=uuid, expected="32 hexadecimal digits")
    return digits


def api_uuid(uuid: str) -> str:
    """As vSphere writes it in the configuration of machines, 6000C29e-8d5b-5e2f-0a87-1c4e6a5d3b21.

    Raises InvalidRequest.
    """
    digits = plain_uuid(uuid)
    vendor = digits.startswith(_VENDOR)
    text = _VENDOR.upper() + digits[len(_VENDOR) :] if vendor else digits
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
