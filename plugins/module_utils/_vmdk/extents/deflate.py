# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""RFC 1950 streams: by isal where it is installed, else by zlib. Both let other threads run."""

from __future__ import annotations

import functools
import typing as t
import zlib

from ..._device.errors import InvalidRequest

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._device.device import Buffer

_FASTEST_ISAL = 2  # no slower than its level 1, and smaller; some 6 % larger than zlib's level 6
_LAST_ISAL_LEVEL = 3


class BadStream(ValueError):
    """Not a whole, valid stream."""


@functools.cache
def _isal() -> t.Any:
    """isal.isal_zlib, None where it is not installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return None
    return isal_zlib


def compressor(level: int | None = None) -> Callable[[Buffer], bytes]:
    """The function that makes a stream of a buffer.

    Levels as zlib counts them: 0 stores, 1-3 are fast (isal, several times as fast as zlib, where
    it is installed), 4-9 are zlib's: smaller and slow. None is the fastest the machine has.
    Raises InvalidRequest.
    """
    fast = _isal()
    if level is None:
        level = _FASTEST_ISAL if fast else 1
    if not 0 <= level <= zlib.Z_BEST_COMPRESSION:
        raise InvalidRequest("no such compression level", found=level, expected="0 to 9")
    if fast and 1 <= level <= _LAST_ISAL_LEVEL:
        return functools.partial(fast.compress, level=level)
    return functools.partial(zlib.compress, level=level)


def inflate(stream: Buffer, limit: int) -> bytes:
    """The content of a stream, refused beyond `limit` bytes. Raises BadStream."""
    codec = _isal() or zlib
    decompressor = codec.decompressobj()
    try:
        # One byte more than allowed, so that the checksum behind the last one is reached.
        content: bytes = decompressor.decompress(stream, limit + 1)
    except (zlib.error, codec.error) as error:
        raise BadStream(str(error)) from error
    if len(content) > limit:
        raise BadStream(f"more than {limit} bytes in it")
    if not decompressor.eof:
        raise BadStream(f"it stops after {len(content)} bytes of content")
    return content
