# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""spare/…: second copies of what opens a repository. docs/repository-format.md, "Spare copies"."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..store.protocol import Store

SPARE = "spare/"


def spare_key(key: str) -> str:
    return SPARE + key


def put_both(store: Store, key: str, data: bytes) -> bool:
    """A new object, then its spare copy; False if the key is taken (nothing is changed then)."""
    if not store.put(key, data, if_absent=True):
        return False
    store.put(spare_key(key), data)
    return True


def delete_both(store: Store, key: str) -> None:
    """The spare copy goes first: a spare without its twin always means that the twin was lost."""
    store.delete(spare_key(key))
    store.delete(key)
    store.delete(spare_key(key))  # a writer may have put it back in between
