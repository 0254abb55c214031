# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one disk as one input: a line of JSON that names them, then their bytes."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

DISK = "d.vmdk"  # the one that is opened; the others are what it may need
_NAME = re.compile(r"[a-z][a-z0-9-]*\.vmdk")
_MAX_FILES = 8
_MAX_HOLE = 1 << 20


class Part(t.NamedTuple):
    """One file; `hole` bytes that are stored nowhere follow its data."""

    data: bytes
    hole: int = 0


Files: t.TypeAlias = dict[str, Part]


def pack(files: Files) -> bytes:
    index = {name: [len(part.data), part.hole] for name, part in files.items()}
    data = b"".join(part.data for part in files.values())
    return json.dumps(index).encode() + b"\n" + data


def unpack(bundle: bytes) -> Files | None:
    """None for what pack() has not made."""
    line, _newline, data = bundle.partition(b"\n")
    try:
        index = json.loads(line)
        files: Files = {}
        for name, (length, hole) in index.items():
            if not (_NAME.fullmatch(name) and length >= 0 and 0 <= hole <= _MAX_HOLE):
                return None
            files[name] = Part(data[:length], hole)
            data = data[length:]
    except (ValueError, TypeError, AttributeError):
        return None
    return files if files and len(files) <= _MAX_FILES else None


def lay_down(files: Files, folder: Path) -> None:
    """Write them, and nothing else, to a folder."""
    for old in folder.iterdir():
        old.unlink()
    for name, part in files.items():
        with (folder / name).open("wb") as file:
            file.write(part.data)
            file.truncate(len(part.data) + part.hole)
