# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One extent line of a descriptor: `RW 4192256 SPARSE "x-s001.vmdk"` (TN p.4)."""

from __future__ import annotations

import dataclasses
import re

_ACCESS = re.compile(r"\s*(RW|RDONLY|NOACCESS)\s", re.IGNORECASE)
# A name may hold quotes, so it ends at the quote after which the rest of the line fits.
_LINE = re.compile(
    r"\s*(?P<access>\w+)\s+(?P<sectors>\d{1,19})\s+(?P<kind>\w+)"
    r'(?:\s+"(?P<name>.*?)"(?:\s+(?P<offset>\d{1,19})(?P<extra>\s+\S.*?)?)?)?\s*$',
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class ExtentLine:
    """Sizes and offset are in sectors; `extra` is what follows the offset, kept as it is."""

    access: str
    sectors: int
    kind: str
    name: str | None = None
    offset: int | None = None
    extra: str = ""

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether this line of a descriptor is meant to be an extent."""
        return _ACCESS.match(text) is not None

    @classmethod
    def parse(cls, text: str) -> ExtentLine | None:
        """None where the line is damaged."""
        match = _LINE.match(text)
        if match is None:
            return None
        offset = match["offset"]
        return cls(
            access=match["access"].upper(),
            sectors=int(match["sectors"]),
            kind=match["kind"].upper(),
            name=match["name"],
            offset=None if offset is None else int(offset),
            extra=(match["extra"] or "").strip(),
        )

    def __str__(self) -> str:
        words = [self.access, str(self.sectors), self.kind]
        if self.name is not None:
            words.append(f'"{self.name}"')
        if self.offset is not None:
            words.append(str(self.offset))
        return " ".join([*words, self.extra]) if self.extra else " ".join(words)
