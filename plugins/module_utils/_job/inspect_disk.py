# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is known about a disk, wherever it lives."""

from __future__ import annotations

import itertools
import os
import typing as t

from .._device.compare import digest
from .._device.errors import InvalidRequest
from .._device.extent import Kind, merge
from .._guest.discover import find_volumes
from .._transport.datastore import DatastoreDevice
from .facts import plain_facts

if t.TYPE_CHECKING:
    from .._device.progress import Progress
    from .access import AnyDisk
    from .plan import Result


_MANY_BLOCKS = 100_000  # runs; more would choke Ansible


def inspect(
    disk: AnyDisk,
    *,
    partitions: bool = False,
    blocks: bool = False,
    with_digest: bool = False,
    progress: Progress | None = None,
) -> Result:
    """The `disk` value of module results."""
    facts = _facts(disk)
    if blocks:
        facts["blocks"] = _blocks(disk)
    if partitions:
        facts["partitions"] = [volume.as_dict() for volume in find_volumes([disk])]
    if with_digest:
        facts["digest"] = digest(disk, progress=progress, label=os.path.basename(disk.name))
        disk.require_unchanged()
    return facts


def _facts(disk: AnyDisk) -> Result:
    if isinstance(disk, DatastoreDevice):
        # Imported here, as it needs a library that plain disks do not.
        from .managed.inspect import describe_with_users

        return describe_with_users(disk)
    return plain_facts(disk)


def _blocks(disk: AnyDisk) -> list[Result]:
    """Where there is content: runs in bytes, none beside the next."""
    runs = (run for run in merge(disk.extents()) if run.kind is Kind.DATA)
    found = list(itertools.islice(runs, _MANY_BLOCKS + 1))
    if len(found) > _MANY_BLOCKS:
        raise InvalidRequest(
            "is in too many pieces for a result",
            path=disk.name,
            expected=f"at most {_MANY_BLOCKS} runs of content",
            hint="Ask without blocks.",
        )
    return [{"offset": run.offset, "length": run.length} for run in found]
