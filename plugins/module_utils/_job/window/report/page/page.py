# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The report of a window as one page: no script, nothing that is fetched from anywhere."""

from __future__ import annotations

import typing as t

from .. import words
from ..model import DONE, FAILED, INCOMPLETE, OK
from ..totals import totals_of
from ..verdict import headline, headline_parts, protection
from .attention import attention
from .heatmap import heat_map
from .machines import limits, machines, proxies
from .markup import Markup, el, joined
from .remarks import afterwards, concerns
from .sizes import sizes
from .style import style
from .svg import patterns
from .timeline import timeline
from .trend import trend

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..model import Report

    Section = tuple[str, str, Callable[[Report], Markup]]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STATUS = {
    OK: ("done", "✓", "All is well"),
    INCOMPLETE: ("left", "!", "Not complete"),
    FAILED: ("failed", "✕", "Something failed"),
}
_NOBODY = ("skipped", "–", "Nothing was done")


def page_of(report: Report) -> str:
    """The same report gives the same page."""
    sections = _sections(report)
    body = el(
        "body",
        patterns(),
        el(
            "header",
            el("h1", report.title),
            el(
                "p", f"{words.period(report.start, report.deadline)}, UTC (+00:00)", class_="period"
            ),
        ),
        el("main", _verdict(report), _contents(sections), *_drawn(sections, report)),
        _footer(report),
    )
    return f"<!DOCTYPE html>\n{el('html', _head(report), body, lang='en')}\n"


def _head(report: Report) -> Markup:
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("link", rel="icon", href="data:,"),
        el("title", f"{report.title}, {words.day(report.start)}: {headline(report)}"),
        el("style", Markup(style())),
    )


def _sections(report: Report) -> list[Section]:
    return [
        ("attention", "What needs you", attention),
        ("timeline", "Timeline", timeline),
        ("rpo", "Protection over 30 days", heat_map),
        ("data", "Data", sizes),
        ("trend", "Trend", trend),
        ("concerns", "Concerns", concerns),
        ("afterwards", "Verification and retention", afterwards),
        ("machines", "Machines and forecast", machines),
        ("proxies", "Proxies", _proxies),
    ]


def _proxies(report: Report) -> Markup:
    return joined((proxies(report), limits(report)))


def _contents(sections: list[Section]) -> Markup:
    links = [el("li", el("a", title, href=f"#{name}")) for name, title, _made in sections]
    return el("nav", el("ul", *links), aria_label="Contents")


def _drawn(sections: list[Section], report: Report) -> list[Markup]:
    return [
        el(
            "section",
            el("h2", title, id=f"{name}-title"),
            made(report),
            id=name,
            aria_labelledby=f"{name}-title",
        )
        for name, title, made in sections
    ]


def _verdict(report: Report) -> Markup:
    is_quiet = report.status == OK and not report.of_state(DONE)
    kind, sign, word = _NOBODY if is_quiet else _STATUS[report.status]
    return el(
        "section",
        el(
            "div",
            el("span", sign, class_=f"badge {kind}", aria_hidden="true"),
            word,
            class_="status",
        ),
        el("h2", *(joined((el("span", part), " ")) for part in headline_parts(report))),
        el("p", protection(report)),
        _tiles(report),
        class_=f"verdict {report.status}",
    )


def _tiles(report: Report) -> Markup:
    totals = totals_of(report)
    room = report.deadline - report.closed
    beside = "before" if room >= 0 else "after"
    tiles = (
        ("Backed up", f"{totals['done']:,} of {totals['selected']:,}", "machines"),
        ("Within their RPO", f"{totals['within_rpo']:,} of {totals['measured']:,}", "machines"),
        (
            "Took",
            words.duration(totals["seconds"]),
            f"{words.duration(abs(room))} {beside} the deadline",
        ),
        ("Read", words.size(totals["bytes_read"]), f"of {words.size(totals['size'])} protected"),
        (
            "Stored",
            words.size(totals["added"]),
            f"{words.share(totals['added'], totals['size'])} of what is protected"
            if totals["size"]
            else "",
        ),
    )
    return el(
        "dl",
        *(
            el("div", el("dt", name), el("dd", value, el("small", more)))
            for name, value, more in tiles
        ),
        class_="tiles",
    )


def _footer(report: Report) -> Markup:
    return el(
        "footer",
        el(
            "p",
            f"All times are in UTC (+00:00). Opened {words.full_moment(report.opened)}, the last"
            f" thing happened {words.full_moment(report.closed)}. RPO: how old the newest restore"
            " point of a machine may become. Units of bytes are powers of 1024."
            " Made by vdisk.lifecycle.",
        ),
    )
