# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Changing the disk data base (DDB) of a disk without touching its content."""

from __future__ import annotations

import os
import re
import typing as t

from ..._device.errors import InvalidRequest
from ..files.lock import refuse_claimed
from ..files.paths import folder_of
from ..opening import journal
from ..opening.descriptor_edit import plan_edit
from ..opening.descriptor_file import DescriptorFile
from ..opening.family import refuse_pending_below
from .building import require_writable

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PREFIX = "ddb."
_KEY = re.compile(r"[\w.:-]+", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{32}")
_BETWEEN = re.compile(r"[\s-]")


def set_metadata(
    path: str | os.PathLike[str], entries: Mapping[str, str], *, remove: Iterable[str] = ()
) -> None:
    """Set and drop entries, named without `ddb.`; others stay. The CID stays: it is the content's.

    Raises DiskInUse, InvalidRequest, UnsupportedDisk and what reading a descriptor raises.
    """
    real = os.path.realpath(path)
    changes = _changes(entries, remove)
    journal.finish(real)
    refuse_claimed(real)
    refuse_pending_below(real)
    with DescriptorFile(real, writable=True):
        edit = plan_edit(real, changes)
        if edit.old != edit.new:
            journal.commit(real, edits=[edit])


def check_metadata(
    path: str | os.PathLike[str], entries: Mapping[str, str], *, remove: Iterable[str] = ()
) -> None:
    """Raises what set_metadata() would raise for these entries. Writes nothing."""
    real = os.path.realpath(path)
    refuse_claimed(real)
    refuse_pending_below(real)
    require_writable(folder_of(real))  # for the journal
    with DescriptorFile(real, writable=True):
        plan_edit(real, _changes(entries, remove))


def _changes(entries: Mapping[str, str], remove: Iterable[str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {_PREFIX + check_key(key): None for key in remove}
    return changes | {_PREFIX + check_key(key): value for key, value in entries.items()}


def check_key(key: str) -> str:
    """A key without `ddb.`. Raises InvalidRequest for one that a descriptor cannot hold."""
    name = key[len(_PREFIX) :] if key.lower().startswith(_PREFIX) else key
    if not _KEY.fullmatch(name):
        raise InvalidRequest(
            f"'{key}' cannot be a key of the disk data base",
            expected="letters, digits and . _ : - only",
        )
    return name


def canonical_uuid(text: str) -> str:
    """`60 00 C2 9a … -… ` as VMware writes the 16 bytes of ddb.uuid. Raises InvalidRequest."""
    digits = _BETWEEN.sub("", text)
    if not _HEX.fullmatch(digits):
        raise InvalidRequest(f"'{text}' is not a uuid", expected="32 hexadecimal digits")
    pairs = [digits[place : place + 2] for place in range(0, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])
