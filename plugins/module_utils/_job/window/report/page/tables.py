# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Tables: every one has a caption, and heads that say what they are the head of."""

from __future__ import annotations

import typing as t

from .markup import Markup, el

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .markup import Content


def table(
    caption: str,
    heads: Sequence[Content],
    rows: Iterable[Sequence[Markup]],
    *,
    numbers: Sequence[int] = (),
    class_: str | None = None,
) -> Markup:
    """`rows` are cells; `numbers` are the places of columns that are set to the right. It scrolls
    by itself where it is too wide for the screen."""
    head = el("tr", *(_head(each, place in numbers) for place, each in enumerate(heads)))
    made = el(
        "table",
        el("caption", caption),
        el("thead", head),
        el("tbody", *(el("tr", *cells) for cells in rows)),
        class_=class_,
    )
    return el("div", made, class_="wide", tabindex=0, role="region", aria_label=caption)


def _head(content: Content, is_number: bool) -> Markup:
    if not content:
        return el("td")
    return el("th", content, scope="col", class_="n" if is_number else None)


def cell(content: Content, *, is_number: bool = False, class_: str | None = None) -> Markup:
    return el("td", content, class_="n" if is_number else class_)


def folded(summary: Content, *content: Content) -> Markup:
    return el("details", el("summary", summary), *content)
