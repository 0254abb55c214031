# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Third-party libraries, imported only where a repository is really used."""

from __future__ import annotations

import importlib
import typing as t

from .._device.errors import MissingLibrary


def require(module: str) -> t.Any:
    """The imported module. Raises MissingLibrary."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise MissingLibrary(
            f"backup repositories need the Python library {library}",
            hint=f"Install it on this host: python3 -m pip install {library}",
        ) from error
