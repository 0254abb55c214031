# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What opens an encrypted volume."""

from __future__ import annotations

import os
import typing as t

from ..._device.errors import InvalidRequest, from_oserror

LONGEST = 8 << 20  # bytes; what cryptsetup takes of a key file


class Secret:
    """A passphrase, or the content of a key file. Nothing that prints it shows what it is."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def variants(self) -> tuple[bytes, ...]:
        """For key derivation, and nothing else: as it is; and without the end of line that an
        editor has put behind a passphrase."""
        content = self._content
        bare = content[:-1] if content.endswith(b"\n") else content
        return (content,) if bare in (content, b"") else (content, bare)

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __reduce__(self) -> t.NoReturn:
        raise TypeError("a secret is not to be written down")


def read_key_file(path: str | os.PathLike[str]) -> Secret:
    """The whole file, as cryptsetup takes it. Raises DiskNotFound, DiskIOError, InvalidRequest."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(LONGEST + 1)
    except OSError as error:
        raise from_oserror(error, "read the key file", path) from error
    if not 0 < len(content) <= LONGEST:
        found = "nothing in it" if not content else f"more than {LONGEST} bytes"
        raise InvalidRequest("is no key file", path=path, found=found)
    return Secret(content)
