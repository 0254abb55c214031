# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The variables of a machine's firmware, put among its files."""

from __future__ import annotations

import posixpath
import typing as t

from ...._device.errors import DiskError
from ...._vsphere.connection import libraries
from ...._vsphere.connection.collect import properties
from ...._vsphere.disks.folder import DatastoreFiles
from ...._vsphere.disks.paths import find_place, parse_file
from ...._vsphere.machine.settings import reconfigure

if t.TYPE_CHECKING:
    from ...._vsphere.connection.session import Session
    from ..document import VmDocument

_OPTION = "nvram"


def put_nvram(session: Session, vm: t.Any, document: VmDocument) -> str | None:
    """Into the folder of a machine that is off. Why that could not be; the firmware then begins
    with its defaults, and finds what it can boot."""
    if document.configuration["encrypted"]:
        return "it is encrypted with the key of the original"
    data = document.nvram or b""
    path, vmx = "config.extraConfig", "config.files.vmPathName"
    facts = properties(session, vm, (path, vmx))
    options = {str(each.key).lower(): str(each.value) for each in facts.get(path) or ()}
    home = parse_file(str(facts[vmx]))
    name = posixpath.basename(options.get(_OPTION) or home.name.removesuffix(".vmx") + ".nvram")
    files = DatastoreFiles(session)
    try:
        place = find_place(session, home.beside(name))
        files.put(place, len(data), lambda: (data,))
        if options.get(_OPTION) != name:
            option = libraries.vim().option.OptionValue(key=_OPTION, value=name)
            reconfigure(session, vm, "name its nvram", extraConfig=[option])
    except DiskError as error:
        return str(error)
    finally:
        files.close()
    return None
