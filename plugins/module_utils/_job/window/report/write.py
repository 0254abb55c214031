# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The files of a report, written only where they differ."""

from __future__ import annotations

import json
import os
import typing as t

from ...._device.errors import DiskNotFound, from_oserror
from ...._device.files import write_durably
from ...plan import Plan
from ..log import Log
from .build import make_report
from .document import document_of
from .metrics import metrics_of, window_name
from .page.page import page_of

if t.TYPE_CHECKING:
    from ...plan import Result
    from .build import ReportWish
    from .model import Row

_MODE = 0o644  # of metrics: their collector is another user; the report stays its owner's
HTML, JSON = "report.html", "report.json"


def read_events(path: str) -> list[Row]:
    """Raises DiskNotFound, DiskIOError, AccessDenied."""
    if not os.path.exists(path):
        raise DiskNotFound(
            "there is no log", path=path, hint="Name the log that vmdk_window_turn wrote."
        )
    with Log(path).locked() as log:
        return log.events()


def plan_report(wish: ReportWish, dest: str, metrics: str | None) -> Plan:
    """Raises InvalidRequest."""
    report = make_report(wish)
    document = document_of(report)
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    wanted = {
        os.path.join(dest, HTML): (page_of(report).encode(), 0o600),
        os.path.join(dest, JSON): (text.encode(), 0o600),
    }
    if metrics:
        told = metrics_of(report, window_name(metrics))
        wanted[metrics] = (told.encode("utf-8", "replace"), _MODE)
    found = {path: _read(path) for path in wanted}
    late = {path: each for path, each in wanted.items() if found[path] != each[0]}
    result = {
        "report": document,
        "html": os.path.join(dest, HTML),
        "json": os.path.join(dest, JSON),
    }

    def apply() -> Result:
        _make_folder(dest)
        for path, (data, mode) in late.items():
            write_durably(path, data, mode=mode)
        return result

    before = {path: "missing" if found[path] is None else "another report" for path in late}
    after = dict.fromkeys(late, document["headline"])
    return Plan(before, after, result, apply if late else None)


def _read(path: str) -> bytes | None:
    """None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_oserror(error, "read what is there", path) from error


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise from_oserror(error, "make the folder", path) from error
