# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The text in which LVM2 writes down its volume groups (lvm.conf(5), "syntax")."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    Value: t.TypeAlias = "str | int | float | list[t.Any] | Section"

Section = dict[str, t.Any]

_DEEPEST = 20  # sections in sections; LVM has four
_TOKEN = re.compile(
    r"""\s+ | \#[^\n]*
    | (?P<string>"[^"\\]*(?:\\.[^"\\]*){0,1000}")
    | (?P<number>-?\d{1,20}(?:\.\d{1,20})?)(?![\w.-])
    | (?P<word>[\w.+/-]+)
    | (?P<sign>[{}\[\]=,])""",
    re.VERBOSE,
)


def parse(text: str) -> Section:
    """Raises ValueError."""
    tokens = _Tokens(text)
    found = _section(tokens, 0)
    if tokens.next is not None:
        raise ValueError(f"{tokens.next[1]!r} where nothing more was expected")
    return found


class _Tokens:
    """One ahead."""

    def __init__(self, text: str) -> None:
        self._left = _tokens(text)
        self.next: tuple[str, str] | None = None
        self.take()

    def take(self) -> tuple[str, str] | None:
        taken, self.next = self.next, next(self._left, None)
        return taken

    def expect(self, *signs: str) -> str:
        taken = self.take()
        if taken is None or taken[1] not in signs:
            raise ValueError(f"{taken and taken[1]!r} instead of {' or '.join(signs)}")
        return taken[1]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"{text[place : place + 20]!r} at character {place}")
        place = match.end()
        if match.lastgroup:
            yield match.lastgroup, match[0]


def _section(tokens: _Tokens, depth: int) -> Section:
    """Up to the brace that ends it, which stays, or the end of the text."""
    if depth > _DEEPEST:
        raise ValueError("sections without end")
    found: Section = {}
    while tokens.next is not None and tokens.next[1] != "}":
        kind, name = tokens.take() or ("", "")
        if kind not in ("word", "number"):
            raise ValueError(f"{name!r} instead of a name")
        if tokens.expect("=", "{") == "=":
            found[name] = _value(tokens, depth)
        else:
            found[name] = _section(tokens, depth + 1)
            tokens.expect("}")
    return found


def _value(tokens: _Tokens, depth: int) -> Value:
    kind, text = tokens.take() or ("", "")
    if text == "[":
        return _array(tokens, depth + 1)
    if kind == "string":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if kind == "number":
        return float(text) if "." in text else int(text)
    raise ValueError(f"{text!r} instead of a value")


def _array(tokens: _Tokens, depth: int) -> list[t.Any]:
    if depth > _DEEPEST:
        raise ValueError("arrays without end")
    found: list[t.Any] = []
    while tokens.next is not None and tokens.next[1] != "]":
        found.append(_value(tokens, depth))
        if tokens.next is not None and tokens.next[1] == ",":
            tokens.take()
    tokens.expect("]")
    return found
