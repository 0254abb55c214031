# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The file of a registry hive, for reading ("regf", as documented by libregf and by hivex).

No library that reads hives stands up to one that was made to hurt: here every list is as long as
the file can hold at most, and the work for one hive is limited.
"""

from __future__ import annotations

import struct
import typing as t

from ...._device.errors import CorruptDisk

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_BINS = 4096  # where the cells begin; offsets of cells count from here
_ROOT = 36  # in the header: the cell of the root key
_KEY = struct.Struct("<2sHQ4x4xI4xI4xII4x4x20xHH")
_VALUE = struct.Struct("<2sHIIIH2x")
_ASCII_KEY, _ASCII_VALUE = 0x20, 0x01
_INLINE = 0x80000000  # the data is in the field of its own place
_SEGMENT = 16344  # bytes of each part of a long value
_LARGEST = 1 << 20  # bytes of a value
_WORK = 2_000_000  # cells looked at; a large hive has some hundred thousand
_DEPTH = 3  # lists of lists
_TEXTS = (1, 2)  # REG_SZ, REG_EXPAND_SZ
_NUMBERS = {4: "<I", 5: ">I", 11: "<Q"}  # REG_DWORD, its big-endian form, REG_QWORD
_NOTHING = 0xFFFFFFFF


class Value(t.NamedTuple):
    """What a key holds under a name; the key's own value has none."""

    name: str
    kind: int  # REG_*; the registry of users puts numbers of its own here
    data: bytes

    def text(self) -> str:
        """Empty for what is no text."""
        if self.kind not in _TEXTS:
            return ""
        return self.data.decode("utf-16-le", "replace").split("\0")[0].strip()

    def number(self) -> int | None:
        """None for what is no number."""
        form = _NUMBERS.get(self.kind)
        if form is None or len(self.data) < struct.calcsize(form):
            return None
        return int(struct.unpack_from(form, self.data)[0])


class Hive:
    """Raises CorruptDisk for what is none; so do all its keys, where they are damaged."""

    def __init__(self, data: bytes, path: str) -> None:
        self._data = data
        self._path = path
        self._work = _WORK
        if data[:4] != b"regf" or len(data) < _BINS:
            raise self.damaged("it does not begin as a registry hive")

    @property
    def was_closed(self) -> bool:
        """Whether all changes are in it, none only in its logs."""
        first, second = struct.unpack_from("<II", self._data, 4)
        return bool(first == second)

    def root(self) -> Key:
        return Key(self, struct.unpack_from("<I", self._data, _ROOT)[0])

    def key(self, path: str) -> Key | None:
        """The key at `a\\\\b\\\\c`, whatever the case; None where there is none."""
        found: Key | None = self.root()
        for name in path.split("\\"):
            found = None if found is None else found.subkey(name)
        return found

    def cell(self, offset: int) -> memoryview:
        """The content of a cell."""
        self._work -= 1
        if self._work < 0:
            raise self.damaged("it leads in circles")
        at = _BINS + offset
        if at + 4 > len(self._data):
            raise self.damaged(f"a cell at {at} is outside of it")
        size = -struct.unpack_from("<i", self._data, at)[0]
        if not 8 <= size <= len(self._data) - at:
            raise self.damaged(f"the cell at byte {at} has {size} bytes")
        return memoryview(self._data)[at + 4 : at + size]

    def damaged(self, found: str) -> CorruptDisk:
        return CorruptDisk("the registry hive is damaged", path=self._path, found=found)


class Key:
    """A key, with its keys and values."""

    def __init__(self, hive: Hive, offset: int) -> None:
        self._hive = hive
        cell = hive.cell(offset)
        if len(cell) < _KEY.size or bytes(cell[:2]) != b"nk":
            raise hive.damaged(f"no key in the cell at {offset}")
        fields = _KEY.unpack_from(cell)
        self._count, self._list, self._values, self._value_list = fields[3:7]
        name = bytes(cell[_KEY.size : _KEY.size + fields[7]])
        self.name = _name(name, ascii_only=bool(fields[1] & _ASCII_KEY))

    def subkeys(self) -> Iterator[Key]:
        if self._count and self._list != _NOTHING:
            for offset in self._offsets(self._list, 0):
                yield Key(self._hive, offset)

    def subkey(self, name: str) -> Key | None:
        """By its name, whatever the case."""
        return next((key for key in self.subkeys() if key.name.lower() == name.lower()), None)

    def values(self) -> Iterator[Value]:
        if not self._values or self._value_list == _NOTHING:
            return
        cell = self._hive.cell(self._value_list)
        for (offset,) in struct.iter_unpack("<I", cell[: len(cell) // 4 * 4][: 4 * self._values]):
            yield self._value(offset)

    def value(self, name: str) -> Value | None:
        """By its name, whatever the case; `""` is the key's own."""
        return next((each for each in self.values() if each.name.lower() == name.lower()), None)

    def text(self, name: str) -> str:
        """Of a value; empty where it is missing, or none."""
        value = self.value(name)
        return "" if value is None else value.text()

    def number(self, name: str) -> int | None:
        """Of a value; None where it is missing, or none."""
        value = self.value(name)
        return None if value is None else value.number()

    def _offsets(self, offset: int, depth: int) -> Iterator[int]:
        """Of the keys in a list, or in a list of lists."""
        cell = self._hive.cell(offset)
        kind = bytes(cell[:2])
        width = 8 if kind in (b"lf", b"lh") else 4  # those have a hash beside
        if kind not in (b"lf", b"lh", b"li", b"ri") or depth > _DEPTH:
            raise self._hive.damaged(f"no list of keys in the cell at {offset}")
        (count,) = struct.unpack_from("<H", cell, 2)
        for number in range(min(count, (len(cell) - 4) // width)):
            (found,) = struct.unpack_from("<I", cell, 4 + number * width)
            if kind == b"ri":
                yield from self._offsets(found, depth + 1)
            else:
                yield found

    def _value(self, offset: int) -> Value:
        cell = self._hive.cell(offset)
        if len(cell) < _VALUE.size or bytes(cell[:2]) != b"vk":
            raise self._hive.damaged(f"no value in the cell at {offset}")
        _magic, length, size, place, kind, flags = _VALUE.unpack_from(cell)
        name = bytes(cell[_VALUE.size : _VALUE.size + length])
        if size & _INLINE:
            data = place.to_bytes(4, "little")[: size & 7]
        else:
            data = self._content(place, size) if size else b""
        return Value(_name(name, ascii_only=bool(flags & _ASCII_VALUE)), kind, data)

    def _content(self, place: int, size: int) -> bytes:
        """What is longer than a segment is a list of segments."""
        cell = self._hive.cell(place)
        if size <= _SEGMENT or bytes(cell[:2]) != b"db" or len(cell) < 8:
            return bytes(cell[: min(size, _LARGEST)])
        count, list_place = struct.unpack_from("<HI", cell, 2)
        places = self._hive.cell(list_place)
        data = bytearray()
        for number in range(min(count, len(places) // 4, _LARGEST // _SEGMENT)):
            data += self._hive.cell(struct.unpack_from("<I", places, 4 * number)[0])[:_SEGMENT]
        return bytes(data[:size])


def _name(raw: bytes, *, ascii_only: bool) -> str:
    return raw.decode("latin-1") if ascii_only else raw.decode("utf-16-le", "replace")
