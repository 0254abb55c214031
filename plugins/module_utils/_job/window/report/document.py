# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A report as report.json has it."""

from __future__ import annotations

import typing as t

from ..times import to_text
from .earlier import FORMAT, trend_of
from .totals import BYTES, totals_of
from .verdict import headline, plain_text

if t.TYPE_CHECKING:
    from .model import Machine, Report, Row, Try


def document_of(report: Report) -> Row:
    """Nothing but JSON in it; the same report gives the same."""
    return {
        "format": FORMAT,
        "title": report.title,
        "status": report.status,
        "headline": headline(report),
        "text": plain_text(report),
        "start": to_text(report.start),
        "deadline": to_text(report.deadline),
        "opened": to_text(report.opened),
        "closed": to_text(report.closed),
        "totals": totals_of(report),
        "machines": [_machine(each, report.closed) for each in report.machines],
        "missed": report.missed,
        "limits": dict(report.limits),
        "peaks": {
            "repository": report.peaks.repository,
            "hosts": dict(report.peaks.hosts),
            "datastores": dict(report.peaks.datastores),
            "proxies": dict(report.peaks.proxies),
        },
        "proxies": [
            {**_without(each._asdict(), "busy"), "busy_seconds": round(each.busy)}
            for each in report.proxies
        ],
        "verify": report.verify,
        "prune": report.prune,
        "trend": trend_of(report),
    }


def _machine(machine: Machine, closed: float) -> Row:
    return {
        "name": machine.name,
        "moref": machine.moref,
        "host": machine.host,
        "datastores": list(machine.datastores),
        "proxy": machine.proxy,
        "state": machine.state,
        "message": machine.message,
        "never": machine.never,
        "missed": machine.missed,
        "planned": machine.planned
        and {
            "proxy": machine.planned.proxy,
            "start": to_text(machine.planned.start),
            "end": to_text(machine.planned.end),
        },
        "tries": [_try(each) for each in machine.tries],
        "point": machine.text("point") or None,
        "method": machine.text("method"),
        "transport": machine.text("transport"),
        "transport_reason": machine.text("transport_reason"),
        **{name: machine.bytes(name) for name in BYTES},
        "seconds": _whole(machine.seconds),
        "expected_seconds": _whole(machine.expected),
        "basis": machine.basis,
        "age_before": _whole(machine.age_before),
        "newest": _time(machine.newest),
        "rpo": _whole(machine.rpo),
        "within_rpo": machine.is_within_rpo(closed),
        "concerns": [str(each) for each in machine.concerns],
        "warnings": list(machine.texts("warnings")),
        "leftovers": list(machine.texts("leftovers")),
    }


def _try(tried: Try) -> Row:
    return {
        **tried._asdict(),
        "start": to_text(tried.start),
        "end": _time(tried.end),
        "seconds": _whole(tried.seconds),
    }


def _time(time: float | None) -> str | None:
    return None if time is None else to_text(time)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _without(row: Row, name: str) -> Row:
    return {key: value for key, value in row.items() if key != name}
