# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Changing the disk data base (DDB) of a disk without touching its content."""

from __future__ import annotations

import os
import typing as t

from . import journal
from .descriptor_file import DescriptorFile
from .lock import refuse_vmware_lock

if t.TYPE_CHECKING:
    from collections.abc import Mapping


def set_metadata(path: str | os.PathLike[str], entries: Mapping[str, str]) -> None:
    """Set entries, named without `ddb.`; others stay. The CID stays too: it is the content's.

    Raises DiskInUse, InvalidRequest, UnsupportedDisk and what reading a descriptor raises.
    """
    real = os.path.realpath(path)
    journal.finish(real)
    refuse_vmware_lock(real)
    with DescriptorFile(real, writable=True) as store:
        for key, value in entries.items():
            store.descriptor.set(f"ddb.{key}", value)
        store.save()
