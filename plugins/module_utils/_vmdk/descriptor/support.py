# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which descriptors can be opened here, and what to say about the others."""

from __future__ import annotations

import re
import typing as t

from ..._device.errors import UnsupportedDisk
from .types import UNSUPPORTED_TYPES

if t.TYPE_CHECKING:
    from .descriptor import Descriptor

# 1 plain, 2 encrypted, 3 with changed-block tracking: not the sparse header's (VDDK guide).
_ENCRYPTED, _KNOWN_VERSIONS = "2", ("1", "2", "3")
# Lines of an encrypted descriptor, or of one that is nothing but a key safe and data, like a VMX;
# the key itself is a locator of this scheme (GV crypto.KeyLocator).
_KEYS = re.compile(
    rb"^[ \t.]*(encryptionKeys|encryption\.keySafe|encryption\.data)[ \t]*=|vmware:key/",
    re.IGNORECASE | re.MULTILINE,
)
_ENCRYPTED_HINT = (
    "Its key is with the virtual machine or its key server: remove the encryption with the VMware "
    "product that runs it, then come back."
)


def require_supported(descriptor: Descriptor) -> None:
    """Raises UnsupportedDisk."""
    version = descriptor.get("version") or "1"
    if version not in _KNOWN_VERSIONS:
        raise UnsupportedDisk(
            "unknown version of the descriptor",
            path=descriptor.path,
            found=version,
            expected=", ".join(_KNOWN_VERSIONS),
        )
    if version == _ENCRYPTED or is_encrypted(descriptor.to_bytes()):
        raise encrypted(descriptor.path)
    what = UNSUPPORTED_TYPES.get(descriptor.create_type.lower())
    if what is not None:
        raise UnsupportedDisk(
            f"is {what}, which cannot be opened here",
            path=descriptor.path,
            found=f"createType {descriptor.create_type}",
            hint="Clone it to an ordinary disk with the product that owns it.",
        )


def is_encrypted(text: bytes) -> bool:
    """Whether the bytes of a descriptor name keys, whatever else can be read of it."""
    return _KEYS.search(text) is not None


def encrypted(path: str) -> UnsupportedDisk:
    """The error to raise."""
    return UnsupportedDisk(
        "is encrypted, so nothing here can read or change it", path=path, hint=_ENCRYPTED_HINT
    )
