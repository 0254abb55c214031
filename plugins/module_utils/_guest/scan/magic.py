# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How files that hold other files begin."""

from __future__ import annotations

import re

# Signatures that stand at byte 0, as file(1) has them.
_HEADS = (
    rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|BZh[1-9]|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c"
    rb"|Rar!\x1a\x07|MSCF|0707(?:01|02|07)|!<arch>\n|\xed\xab\xee\xdb|hsqs|\x60\xea|ITSF"
)
_TAR_AT, _TAR = 257, b"ustar"
_ARCHIVE = re.compile(_HEADS)
_PROGRAM = re.compile(rb"MZ|\x7fELF|%PDF-|\xd0\xcf\x11\xe0|#!|<\?|<html|<script|\xca\xfe\xba\xbe")
HEAD = 512  # bytes that is_archive() wants to see


def is_archive(head: bytes) -> bool:
    return bool(_ARCHIVE.match(head)) or head[_TAR_AT : _TAR_AT + 5] == _TAR


def begins_file(head: bytes) -> bool:
    """Whether a file of a kind that is known begins here."""
    return is_archive(head) or bool(_PROGRAM.match(head))
