# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""HTML and SVG, element by element. Whatever is not markup already is escaped."""

from __future__ import annotations

import html
import re
import typing as t
import unicodedata

# Nothing that a page may not hold: control characters, halves of surrogate pairs, non-characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_VOID = frozenset(("meta", "link", "br", "col"))
_ELLIPSIS = "…"


class Markup(str):
    """Text that is HTML, and safe."""

    __slots__ = ()


Content: t.TypeAlias = "str | None"  # a Markup, too


def text(value: str) -> Markup:
    return Markup(html.escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)))


def joined(parts: t.Iterable[Content]) -> Markup:
    """None is left out."""
    return Markup(
        "".join(
            part if isinstance(part, Markup) else text(part) for part in parts if part is not None
        )
    )


def el(tag: str, *children: Content, **attributes: t.Any) -> Markup:
    """`el("th", name, scope="row", class_="name")`; attributes that are None are left out."""
    told = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{told}>")
    return Markup(f"<{tag}{told}>{joined(children)}</{tag}>")


def _attribute(name: str, value: t.Any) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, float):
        value = f"{value:.1f}".removesuffix(".0")
    return f' {name.rstrip("_").replace("_", "-")}="{text(str(value))}"'


def name_of(name: str) -> Markup:
    """The name of something: its direction of writing is its own."""
    return el("bdi", name)


def width_of(value: str) -> float:
    """About how wide it is, in letters."""
    return sum(_width(letter) for letter in value)


def _width(letter: str) -> float:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn"):
        return 0.0
    return 2.0 if unicodedata.east_asian_width(letter) in "WF" else 1.0


def clipped(value: str, most: float) -> str:
    """As much of it as is not wider than so many letters."""
    if width_of(value) <= most:
        return value
    kept, used = "", 1.0
    for letter in value:
        used += _width(letter)
        if used > most:
            break
        kept += letter
    return kept + _ELLIPSIS
