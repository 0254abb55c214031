# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a datastore says of the disks in a folder."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskNotFound
from ..connection import libraries
from ..connection.errors import fault_name
from ..connection.tasks import wait

if t.TYPE_CHECKING:
    from ..connection.session import Session
    from .paths import Place


class FoundDisk(t.NamedTuple):
    """A descriptor in a folder. None: the datastore does not say."""

    name: str
    allocated: int | None  # bytes
    thin: bool | None
    hw_version: int | None


def find_disks(session: Session, place: Place, patterns: t.Sequence[str]) -> dict[str, FoundDisk]:
    """The disks of the folder of `place` whose names match one of these, by name.

    None are there where there is no folder. Raises DiskError.
    """
    browser_type = libraries.vim().host.DatastoreBrowser
    details = browser_type.VmDiskQuery.Details(
        diskType=True, capacityKb=True, hardwareVersion=True, controllerType=True, thin=True
    )
    spec = browser_type.SearchSpec(
        matchPattern=list(patterns),
        query=[browser_type.VmDiskQuery(details=details)],
        details=browser_type.FileInfo.Details(
            fileType=True, fileSize=True, modification=True, fileOwner=False
        ),
    )
    found = _search(session, place, spec) or ()
    return {each.path: _found(each) for each in found if str(each.path).lower().endswith(".vmdk")}


def has_folder(session: Session, place: Place) -> bool:
    """Whether the folder of `place` is there. Raises DiskError."""
    spec = libraries.vim().host.DatastoreBrowser.SearchSpec(matchPattern=[place.path.name])
    return _search(session, place, spec) is not None


def _search(session: Session, place: Place, spec: t.Any) -> t.Sequence[t.Any] | None:
    """None where there is no folder."""
    folder, what = place.path.folder, "list the folder"
    browser = session.read(lambda: place.datastore.browser, what, folder)
    try:
        task = session.read(lambda: browser.SearchDatastore_Task(folder, spec), what, folder)
        result = wait(session, task, what, folder)
    except DiskNotFound as error:
        if fault_name(error) == "FileNotFound":
            return None
        raise
    files: t.Sequence[t.Any] = result.file or ()
    return files


def _found(info: t.Any) -> FoundDisk:
    thin = getattr(info, "thin", None)
    version = getattr(info, "hardwareVersion", None)
    size = info.fileSize
    return FoundDisk(
        name=str(info.path),
        allocated=None if size is None else int(size),
        thin=None if thin is None else bool(thin),
        hw_version=int(version) if version else None,
    )
