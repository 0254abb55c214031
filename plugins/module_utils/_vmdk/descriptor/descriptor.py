# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The text that describes a disk (TN p.2-5), changed line by line and otherwise left alone."""

from __future__ import annotations

import re
import typing as t

from ..._device.errors import CorruptDisk, InvalidRequest
from .content_id import NO_PARENT, parse_cid
from .encoding import decode, encode, find_encoding
from .extent_line import ExtentLine
from .types import canonical_type

MAX_BYTES = 16 << 20  # a split disk of 62 TiB needs 2 MB
# An empty value stands before the end of its line, not behind it.
_PAIR = re.compile(r"(?P<before>\s*(?P<key>[\w.:-]+)\s*=[^\S\r\n]*)(?P<value>.*?)(?P<after>\s*)$")
_KEY = re.compile(r"[\w.:-]+", re.ASCII)
_BARE_KEYS = ("version", "cid", "parentcid")  # VMware writes these without quotes


class Descriptor:
    """Bytes in, the same bytes out, but for the lines that were changed.

    Keys are matched in any case, with or without blanks around `=` and quotes around the value.
    """

    def __init__(self, data: bytes, path: str = "descriptor") -> None:
        """Raises CorruptDisk for an extent line that cannot be read."""
        self.path = path
        text = data.split(b"\0", 1)[0]  # embedded ones are padded; old qemu pads files too
        self.codec = find_encoding(text)
        self._raw = text.splitlines(keepends=True)
        self._text = [decode(line, self.codec) for line in self._raw]
        self._extents = self._parse_extents()

    def to_bytes(self) -> bytes:
        return b"".join(self._raw)

    # Lines

    def _parse_extents(self) -> dict[int, ExtentLine]:
        """Extents by number of their line."""
        found = {}
        for number, line in enumerate(self._text):
            if ExtentLine.is_one(line):
                extent = ExtentLine.parse(line)
                if extent is None:
                    raise CorruptDisk(
                        f"line {number + 1} of the descriptor is not an extent",
                        path=self.path,
                        found=line.strip(),
                        expected='like RW 4192256 SPARSE "disk-s001.vmdk"',
                    )
                found[number] = extent
        return found

    def _pairs(self) -> t.Iterator[tuple[int, re.Match[str]]]:
        for number, line in enumerate(self._text):
            if number in self._extents or line.lstrip().startswith("#"):
                continue
            match = _PAIR.match(line)
            if match is not None:
                yield number, match

    def _find(self, key: str) -> tuple[int, re.Match[str]] | None:
        wanted = key.lower()
        for number, match in self._pairs():
            if match["key"].lower() == wanted:
                return number, match
        return None

    def _ending(self) -> str:
        first = self._text[0] if self._text else "\n"
        return "\r\n" if first.endswith("\r\n") else "\n"

    def _put(self, number: int, text: str) -> None:
        self._raw[number] = self._encode(text)
        self._text[number] = text

    def _encode(self, text: str) -> bytes:
        try:
            return encode(text, self.codec)
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"the descriptor's encoding ({self.codec}) cannot hold {text.strip()!r}",
                path=self.path,
            ) from None

    def _insert(self, number: int, text: str) -> None:
        if number and not self._text[number - 1].endswith(("\n", "\r")):
            self._put(number - 1, self._text[number - 1] + self._ending())
        text += self._ending()
        self._raw.insert(number, self._encode(text))
        self._text.insert(number, text)
        self._extents = self._parse_extents()

    # Keys of the header and of the disk data base

    def get(self, key: str) -> str | None:
        """The value of a header key or of a `ddb.` key, without quotes; None if it is not there."""
        found = self._find(key)
        return None if found is None else _unquote(found[1]["value"])

    def set(self, key: str, value: str) -> None:
        """Change a key where it stands, in its own style, or add it where VMware has it."""
        if not _KEY.fullmatch(key):
            raise InvalidRequest(
                f"{key!r} cannot be a key of a descriptor",
                path=self.path,
                expected="letters, digits and . _ : - only",
            )
        if any(forbidden in value for forbidden in "\r\n\0"):
            raise InvalidRequest(f"a value of {key} must be one line", path=self.path)
        found = self._find(key)
        if found is None:
            self._insert(self._place_for(key), _new_pair(key, value))
            return
        number, match = found
        quoted = match["value"].startswith('"') or (not value and key.lower() not in _BARE_KEYS)
        text = f'"{value}"' if quoted else value
        self._put(number, f"{match['before']}{text}{match['after']}")

    def delete(self, key: str) -> bool:
        """Drop a key with its line, or lines; False if it is not there."""
        found = [n for n, match in self._pairs() if match["key"].lower() == key.lower()]
        for number in reversed(found):
            del self._text[number], self._raw[number]
        self._extents = self._parse_extents()
        return bool(found)

    def _place_for(self, key: str) -> int:
        """Header before extents before data base: VirtualBox refuses any other order."""
        is_ddb = key.lower().startswith("ddb.")
        last = [n for n, pair in self._pairs() if pair["key"].lower().startswith("ddb.") == is_ddb]
        if last:
            return last[-1] + 1
        if is_ddb:
            return len(self._text)
        return 1 if self._text and self._text[0].startswith("#") else 0

    def metadata(self) -> dict[str, str]:
        """The disk data base, keys without `ddb.`, in order; of a key given twice the first."""
        found: dict[str, str] = {}
        for _number, match in self._pairs():
            if match["key"].lower().startswith("ddb."):
                found.setdefault(match["key"][4:], _unquote(match["value"]))
        return found

    # Extents

    @property
    def extents(self) -> list[ExtentLine]:
        return list(self._extents.values())

    def replace_extent(self, index: int, extent: ExtentLine) -> None:
        """Change the extent line with that index."""
        number = list(self._extents)[index]
        line = self._text[number]
        ending = line[len(line.rstrip("\r\n")) :]
        self._put(number, f"{extent}{ending}")
        self._extents[number] = extent

    def append_extent(self, extent: ExtentLine) -> None:
        """Add a line behind the last extent."""
        self._insert(max(self._extents) + 1, str(extent))

    # What the keys mean

    @property
    def create_type(self) -> str:
        return canonical_type(self.get("createType") or "")

    @property
    def cid(self) -> int | None:
        return parse_cid(self.get("CID") or "")

    @property
    def parent_cid(self) -> int | None:
        """None: this disk has no parent."""
        cid = parse_cid(self.get("parentCID") or "")
        return None if cid == NO_PARENT else cid

    @property
    def parent_hint(self) -> str | None:
        return self.get("parentFileNameHint") or None

    @property
    def sectors(self) -> int:
        """Capacity: the sum of the extents."""
        return sum(extent.sectors for extent in self._extents.values())


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def _new_pair(key: str, value: str) -> str:
    folded = key.lower()
    if folded.startswith("ddb."):
        return f'{key} = "{value}"'
    return f"{key}={value}" if folded in _BARE_KEYS else f'{key}="{value}"'
