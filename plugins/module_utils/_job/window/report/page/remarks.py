# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What to know of machines though they were backed up, and what came after the backups."""

from __future__ import annotations

import collections
import typing as t

from .. import words
from .markup import Markup, el, joined, name_of
from .tables import cell, folded, table

if t.TYPE_CHECKING:
    from ..model import Report, Row

_NAMED = 6  # machines of one concern; more are folded away


def concerns(report: Report) -> Markup:
    """The most widespread first: what is said of many machines is said once."""
    found: dict[str, dict[str, None]] = collections.defaultdict(dict)
    for machine in report.machines:
        for concern in machine.concerns:
            where = f"{machine.name} ({concern.disk})" if concern.disk else machine.name
            found[concern.text][where] = None
        for kind in ("warnings", "leftovers"):
            for told in machine.texts(kind):
                found[told if kind == "warnings" else f"Left in vSphere: {told}"][machine.name] = (
                    None
                )
    if not found:
        return el("p", "None.", class_="quiet")
    rows = [
        [cell(str(len(names)), is_number=True), cell(told), cell(_names(list(names)))]
        for told, names in sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))
    ]
    heads = ("Machines", "Concern, and what to do", "Which")
    return table("Concerns", heads, rows, numbers=(0,), class_="prose")


def _names(names: list[str]) -> Markup:
    first = joined(_separated(names[:_NAMED]))
    if len(names) <= _NAMED:
        return first
    rest = el("p", *_separated(names[_NAMED:]))
    return joined((first, folded(f"and {len(names) - _NAMED:,} more", rest)))


def _separated(names: list[str]) -> list[Markup]:
    parts: list[Markup] = []
    for name in names:
        parts += [el("span", ", ")] if parts else []
        parts.append(name_of(name))
    return parts


def afterwards(report: Report) -> Markup:
    return el("div", _verify(report.verify), _prune(report.prune), class_="pair")


def _verify(verify: Row) -> Markup:
    title = el("h3", "Verification")
    if not verify:
        return el("section", title, el("p", "The repository was not verified.", class_="quiet"))
    ok = "Passed." if verify["ok"] else "Not passed."
    rows = [
        [
            el("th", each["object"], scope="row"),
            cell(each["severity"]),
            cell(f"{each['message']}. {each['how']}".removesuffix(". ")),
        ]
        for each in verify["findings"]
    ]
    heads = ("Object", "Severity", "What, and what to do")
    found = table("Findings", heads, rows, class_="prose") if rows else None
    return el("section", title, _result(verify["ok"], ok, verify["message"]), found)


def _result(ok: bool, told: str, message: str) -> Markup:
    sign = el("span", "✓" if ok else "✕", class_=f"badge {'done' if ok else 'failed'}")
    return el("p", sign, " ", el("b", told), " ", message)


def _prune(prune: Row) -> Markup:
    title = el("h3", "Retention")
    if not prune:
        return el("section", title, el("p", "Nothing was pruned.", class_="quiet"))
    ok = "Done." if prune["ok"] else "Failed."
    rows = [
        [el("th", name, scope="row"), el("td", told, class_="n strong")]
        for name, told in (
            ("Restore points kept", _number(prune["kept"])),
            ("Restore points dropped", _number(prune["dropped"])),
            ("Space given back", words.size(prune["deleted_bytes"])),
            ("Space that is given back next time", words.size(prune["condemned_bytes"])),
        )
        if told not in ("", "unknown")
    ]
    numbers = (
        table("Retention in numbers", ("What", "How much"), rows, numbers=(1,)) if rows else None
    )
    return el("section", title, _result(prune["ok"], ok, prune["message"]), numbers)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
