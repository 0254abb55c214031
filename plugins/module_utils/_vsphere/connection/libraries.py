# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""pyVmomi, imported only where a vCenter is really used."""

from __future__ import annotations

import importlib
import typing as t

from ..._device.errors import MissingLibrary


def vim() -> t.Any:
    """The types of vSphere. Raises MissingLibrary."""
    return _pyvmomi().vim


def vmodl() -> t.Any:
    """The types beneath: RuntimeFault, the property collector. Raises MissingLibrary."""
    return _pyvmomi().vmodl


def pbm() -> t.Any:
    """The types of storage policies. Raises MissingLibrary."""
    return _pyvmomi().pbm


def soap() -> t.Any:
    """What speaks to the server. Raises MissingLibrary."""
    _pyvmomi()
    return importlib.import_module("pyVmomi.SoapAdapter")


def api_versions() -> t.Any:
    """What pyVmomi knows about versions of the API. Raises MissingLibrary."""
    _pyvmomi()
    return importlib.import_module("pyVmomi.VmomiSupport")


def _pyvmomi() -> t.Any:
    try:
        return importlib.import_module("pyVmomi")
    except ImportError as error:
        raise MissingLibrary(
            "talking to vSphere needs the Python library pyVmomi",
            hint="Install it on the host that runs the module: python3 -m pip install pyvmomi",
        ) from error
