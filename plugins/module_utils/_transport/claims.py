# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The one name that a disk has in marks of transactions, whatever a user calls it."""

from __future__ import annotations

import os
import typing as t

from .._device.transaction_mark import refuse_reading, refuse_writing
from .nbd.address import parse_uri
from .reference import Road, is_block_device

if t.TYPE_CHECKING:
    from .reference import Reference


def claim_name(reference: Reference) -> str | None:
    """None for what no transaction can be of: it is never written to."""
    if reference.road is Road.NBD:
        address = parse_uri(reference.text)
        return f"nbd://{address.server}/{address.export}"
    if reference.road not in (Road.VMDK, Road.RAW):
        return None
    if is_block_device(reference.text):
        return os.path.abspath(reference.text)
    return os.path.realpath(reference.text)


def refuse_claims(reference: Reference, *, writable: bool) -> None:
    """Raises InvalidRequest where a transaction of the disk forbids to open it so."""
    name = claim_name(reference)
    if name is not None:
        (refuse_writing if writable else refuse_reading)(name)
