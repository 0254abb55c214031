# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The `encoding=` of a descriptor: which bytes its names are written in."""

from __future__ import annotations

import re

DEFAULT = "utf-8"
# Microsoft's code pages are what Windows hosts really write under the standards' names. A list,
# so that a descriptor cannot name one of Python's codecs that are no encodings of text.
_CODECS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "gbk": "gbk",
    "gb2312": "gbk",
    "cp936": "gbk",
    "gb18030": "gb18030",
    "big5": "cp950",
    "cp950": "cp950",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "ms932": "cp932",
    "cp932": "cp932",
    "euc-kr": "cp949",
    "cp949": "cp949",
    **{f"cp{page}": f"cp{page}" for page in range(1250, 1259)},
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (1, 2, 5, 7, 9, 15)},
}
_HEADER_KEY = re.compile(rb'^[ \t]*encoding[ \t]*=[ \t]*"?([\w.:-]+)', re.IGNORECASE | re.MULTILINE)
_DDB_KEY = re.compile(
    rb'^[ \t]*ddb\.encoding[ \t]*=[ \t]*"?([\w.:-]+)', re.IGNORECASE | re.MULTILINE
)


def find_encoding(data: bytes) -> str:
    """The Python codec for a descriptor's bytes; UTF-8 where it names none that we know."""
    match = _HEADER_KEY.search(data) or _DDB_KEY.search(data)
    if match is None:
        return DEFAULT
    name = match[1].decode("ascii", "replace").lower()
    return _CODECS.get(name.replace("windows-31j", "cp932").replace("windows-", "cp"), DEFAULT)


def decode(data: bytes, codec: str) -> str:
    """Never fails: bytes that the codec does not know come back unchanged from encode()."""
    return data.decode(codec, "surrogateescape")


def encode(text: str, codec: str) -> bytes:
    """Raises UnicodeEncodeError for a character that the encoding does not have."""
    return text.encode(codec, "surrogateescape")
