# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Third-party libraries, imported only where something is really encrypted."""

from __future__ import annotations

import importlib
import typing as t

from ..._device.errors import MissingLibrary


def require(module: str) -> t.Any:
    """A module of cryptography. Raises MissingLibrary."""
    try:
        return importlib.import_module(f"cryptography.hazmat.primitives.{module}")
    except ImportError as error:
        raise MissingLibrary(
            "encrypted volumes need the Python library cryptography",
            hint="Install it on this host: python3 -m pip install cryptography",
        ) from error
