# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What came of verifying and pruning after a window, told by modules or by those who ran them."""

from __future__ import annotations

import typing as t

from .model import Row, number

_MOST_FINDINGS = 100
_NOT_RUN: Row = {}


def verify_result(told: Row) -> Row:
    """`ok`, `message` and `findings`; empty where nothing was verified."""
    ok = _ok(told)
    if ok is None:
        return _NOT_RUN
    findings = [each for each in _rows(told.get("findings")) if each.get("severity") != "note"]
    return {
        "ok": ok,
        "message": _message(told),
        "findings": [
            {name: str(each.get(name) or "") for name in ("severity", "object", "message", "how")}
            for each in findings[:_MOST_FINDINGS]
        ],
    }


def prune_result(told: Row) -> Row:
    """`ok`, `message`, and how much was dropped and deleted; empty where nothing was pruned."""
    ok = _ok(told)
    if ok is None:
        return _NOT_RUN
    collected = told.get("collected") if isinstance(told.get("collected"), dict) else told
    return {
        "ok": ok,
        "message": _message(told),
        "kept": _count(told.get("kept")),
        "dropped": _count(told.get("dropped")),
        "deleted_bytes": _count((collected or {}).get("deleted_bytes")),
        "condemned_bytes": _count((collected or {}).get("condemned_bytes")),
    }


def _ok(told: Row) -> bool | None:
    """None where it was not run."""
    if told.get("failed"):
        return False
    if not told or told.get("skipped"):
        return None
    return bool(told.get("ok", True))


def _message(told: Row) -> str:
    return str(told.get("message") or (told.get("msg") if told.get("failed") else "") or "")


def _count(value: t.Any) -> int | None:
    if isinstance(value, list):
        return len(value)
    found = number(value)
    return None if found is None else int(found)


def _rows(value: t.Any) -> list[Row]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
