# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Secrets that lie in files: told by path, line and kind, never by what they are."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
import typing as t

from .rules import RULES
from .walk import shown

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .rules import Rule
    from .walk import Seen

LARGEST = 64 << 20  # bytes of a file that are searched
_LOOK = 4096  # bytes that show whether it is text
_MOST = 100  # of one kind in a file: a dump of tokens is one fact
_DIGITS = 8  # of the digest: enough to compare, little to guess by
_NO_PASSPHRASE = b"b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"  # "openssh-key-v1", cipher "none"


def is_text(fd: int) -> bool:
    """By its beginning. Raises OSError."""
    return b"\0" not in os.pread(fd, _LOOK, 0)


def find_secrets(seen: Seen, allow: Sequence[str]) -> Iterator[dict[str, t.Any]]:
    """Of one file of text. Raises OSError."""
    text = _read(seen.fd)
    lower = text.lower()
    for rule in RULES:
        if rule.anchor in lower and (rule.files is None or rule.files.search(seen.path)):
            found = _found(rule, seen, text)
            yield from (each for each in found if not _is_allowed(each, allow))


def _read(fd: int) -> bytes:
    """From its beginning, at most as much as is searched."""
    pieces, done = [], 0
    while done < LARGEST:
        piece = os.pread(fd, min(1 << 20, LARGEST - done), done)
        if not piece:
            break
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)


def _found(rule: Rule, seen: Seen, text: bytes) -> Iterator[dict[str, t.Any]]:
    line, counted = 1, 0
    for number, match in enumerate(rule.pattern.finditer(text)):
        if number == _MOST:
            return
        line += text.count(b"\n", counted, match.start())
        counted = match.start()
        secret = match[match.lastindex or 0]
        is_open = bool(seen.info.st_mode & stat.S_IROTH)
        kind = _kind(rule.kind, match[0])
        yield {
            **shown(seen.path),
            "line": line,
            "kind": kind,
            "severity": _severity(kind, is_open),
            "world_readable": is_open,
            "sha256": hashlib.sha256(secret).hexdigest()[:_DIGITS] if secret else None,
        }


def _kind(kind: str, text: bytes) -> str:
    """Whether a passphrase protects a key, as far as its text tells."""
    if kind != "private-key":
        return kind
    is_locked = b"ENCRYPTED" in text[:200]
    if b"OPENSSH" in text[:40]:
        body = b"".join(text.partition(b"-----\n")[2].split())
        is_locked = not body.startswith(_NO_PASSPHRASE)
    return "encrypted-private-key" if is_locked else kind


def _severity(kind: str, is_open: bool) -> str:
    if kind == "encrypted-private-key":
        return "low"
    return "critical" if kind == "empty-password" or (kind == "private-key" and is_open) else "high"


def _is_allowed(found: dict[str, t.Any], allow: Sequence[str]) -> bool:
    """By its digest, or by a pattern of its path."""
    return any(
        word == found["sha256"] or fnmatch.fnmatchcase(found["path"], word) for word in allow
    )
