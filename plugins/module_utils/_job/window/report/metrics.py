# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A report for Prometheus: a file for the textfile collector of its node exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import os
import typing as t

from .model import DONE, FAILED, INCOMPLETE, LEFT, OK, SKIPPED
from .totals import totals_of

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .model import Machine, Report

    Labels = dict[str, str]
    Sample = tuple[Labels, float]
    Family = tuple[str, str, Iterable[Sample]]

_PREFIX = "vdisk_window_"


def metrics_of(report: Report, window: str) -> str:
    """`window` tells windows of one host apart, and stays the same night after night."""
    own = {"window": window}
    lines: list[str] = []
    for name, words, samples in (*_of_window(report, own), *_of_machines(report, own)):
        lines += [f"# HELP {_PREFIX}{name} {words}", f"# TYPE {_PREFIX}{name} gauge"]
        lines += [f"{_PREFIX}{name}{_labels(labels)} {_value(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def window_name(path: str) -> str:
    """By the file: no other of the collector's folder has that name."""
    return os.path.basename(path).removesuffix(".prom")


def _of_window(report: Report, own: Labels) -> Iterator[Family]:
    totals = totals_of(report)
    states = [({**own, "status": each}, float(report.status == each)) for each in _STATUSES]
    yield "status", "1 for how the window ended, 0 for the others.", states
    yield "start_timestamp_seconds", "When the window began.", [(own, report.start)]
    yield "deadline_timestamp_seconds", "When it had to be over.", [(own, report.deadline)]
    yield "end_timestamp_seconds", "When the last thing happened in it.", [(own, report.closed)]
    yield "duration_seconds", "From its opening to its end.", [(own, totals["seconds"])]
    counts = [({**own, "state": each}, float(totals[each])) for each in _STATES]
    yield "machines", "How many machines ended in which state.", counts
    yield (
        "machines_within_rpo",
        "How many have a restore point young enough.",
        [(own, totals["within_rpo"])],
    )
    yield "tries_lost", "Tries of which nobody said how they went.", [(own, totals["lost"])]
    for name, key, words in _SIZES:
        yield name, words, [(own, totals[key])]
    if report.verify:
        verified = float(report.verify["ok"])
        yield "verify_ok", "Whether the repository passed its verification.", [(own, verified)]


_STATUSES = (OK, INCOMPLETE, FAILED)
_STATES = (DONE, FAILED, LEFT, SKIPPED)
_SIZES = (
    ("size_bytes", "size", "Size of the disks of the machines that are done."),
    ("read_bytes", "bytes_read", "What was read of them."),
    ("new_bytes", "bytes_new", "What of that the repository did not hold."),
    ("stored_bytes", "added", "By how much the repository grew."),
)


def _of_machines(report: Report, own: Labels) -> Iterator[Family]:
    named = [
        ({**own, "machine": each.name, "moref": each.moref}, each)
        for each in report.machines
        if each.measured
    ]
    yield (
        "machine_last_success_timestamp_seconds",
        "When the newest restore point was made, 0 where there is none.",
        [(labels, each.newest or 0.0) for labels, each in named],
    )
    yield (
        "machine_rpo_seconds",
        "How old the newest restore point may become.",
        [(labels, each.rpo) for labels, each in named],
    )
    yield (
        "machine_done",
        "Whether the window made a backup.",
        [(labels, float(each.state == DONE)) for labels, each in named],
    )
    done = [(labels, each) for labels, each in named if each.state == DONE]
    yield "machine_duration_seconds", "How long its backup took.", _known(done, "seconds")
    yield (
        "machine_expected_seconds",
        "How long that was expected to take.",
        _known(done, "expected"),
    )


def _known(machines: Iterable[tuple[Labels, Machine]], name: str) -> Iterator[Sample]:
    for labels, each in machines:
        value = getattr(each, name)
        if value is not None:
            yield labels, value


def _labels(labels: Labels) -> str:
    told = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{told}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _value(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
