# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""From a URL to a store."""

from __future__ import annotations

import typing as t

from .._device.errors import InvalidRequest
from .local import LocalStore

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .store import Store

_OPENERS: dict[str, Callable[[str], Store]] = {"file": LocalStore}


def open_store(url: str) -> Store:
    """The store that a URL names; nothing is read yet. Raises InvalidRequest."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "file", url
    opener = _OPENERS.get(scheme)
    if opener is None or not rest:
        raise InvalidRequest(
            "this names no repository",
            path=url,
            expected="the path of a directory, or file:///path",
        )
    return opener(rest)
