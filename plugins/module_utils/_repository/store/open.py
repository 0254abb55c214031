# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""From a URL to a store."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest
from .local import LocalStore
from .objects import ObjectStore

if t.TYPE_CHECKING:
    from .protocol import Store

_OBJECTS = ("s3", "gs", "az")


def open_store(url: str) -> Store:
    """The store that a URL names; nothing is read yet. Raises InvalidRequest, MissingLibrary."""
    scheme, separator, rest = url.partition("://")
    if not separator and url:
        return LocalStore(url)
    if scheme == "file" and rest:
        return LocalStore(rest)
    if scheme in _OBJECTS and rest.strip("/"):
        return ObjectStore(url)
    raise InvalidRequest(
        "this names no repository",
        path=url,
        expected="the path of a directory, file:///path, s3://bucket/prefix, gs:// or az://",
    )
