# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A piece of a disk: its stored form and back."""

from __future__ import annotations

import threading
import typing as t

from ..libraries import require

if t.TYPE_CHECKING:
    from ..._device.device import Buffer

LEVEL = 3  # the design's measurement: as small as restic, and faster
_WORTH = 0.97  # compressed data larger than this share is kept as it was


class Encoded(t.NamedTuple):
    """`data` is one zstd frame, or with `raw` the content itself."""

    data: Buffer
    raw: bool


class Codec:
    """zstd, one context per thread."""

    def __init__(self) -> None:
        self._zstd = require("zstandard")
        self._local = threading.local()

    def compress(self, content: memoryview) -> Encoded:
        """Raw data is `content` itself, not a copy."""
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._local.compressor = self._zstd.ZstdCompressor(level=LEVEL)
        frame = compressor.compress(content)
        if len(frame) > content.nbytes * _WORTH:
            return Encoded(content, raw=True)
        return Encoded(frame, raw=False)

    def expand(self, stored: Buffer, raw: bool, target: memoryview) -> None:
        """Fill target exactly. Raises ValueError where the stored form holds more, less or junk."""
        if raw:
            target[:] = stored
            return
        decompressor = getattr(self._local, "decompressor", None)
        if decompressor is None:
            decompressor = self._local.decompressor = self._zstd.ZstdDecompressor()
        try:
            with decompressor.stream_reader(stored) as reader:
                self._fill(reader, target)
        except self._zstd.ZstdError as error:
            raise ValueError(str(error)) from error

    def _fill(self, reader: t.Any, target: memoryview) -> None:
        while target.nbytes:
            count = reader.readinto(target)
            if count == 0:
                raise ValueError("the zstd frame holds too little")
            target = target[count:]
        if reader.read(1):
            raise ValueError("the zstd frame holds too much")

    def length(self, stored: Buffer, raw: bool) -> int:
        """How long the content says it is. Raises ValueError."""
        if raw:
            return memoryview(stored).nbytes
        try:
            return int(self._zstd.frame_content_size(stored))
        except self._zstd.ZstdError as error:
            raise ValueError(str(error)) from error
