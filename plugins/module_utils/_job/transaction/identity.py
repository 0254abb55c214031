# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a disk was when its transaction began, so that its writes are never put on anything else."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import typing as t

from ..._device.device import read
from ..._device.errors import CorruptDisk
from ..._device.raw import RawDevice
from ..._vmdk.opening.disk import Disk
from ..._vmdk.opening.state import files_state

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice

_SAMPLES = 64
_SAMPLE_BYTES = 64 << 10
_ENDS = 2 << 20  # bytes: tables, the super blocks of a first volume, and the copy of a GPT


def identity_of(disk: BlockDevice) -> str:
    """Differs once anybody has written to it. Of files it is the times that the kernel keeps; of
    devices and servers, which keep none, a sample of what they hold, which is less.

    The disk is open, and nobody may be writing to it.
    """
    facts: list[object] = [disk.size]
    if isinstance(disk, Disk):
        for link in disk.links:
            facts.append(link.descriptor.cid)
            states = files_state(link)
            facts.append(_plain(states) if states is not None else _sample(disk))
    elif isinstance(disk, RawDevice) and not disk.file.is_block_device:
        found = os.fstat(disk.file.fileno())
        if not stat.S_ISREG(found.st_mode):
            facts.append(_sample(disk))
        facts += [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    else:
        facts.append(_sample(disk))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _plain(states: t.Sequence[t.Any]) -> list[object]:
    """Without the folder, which may move."""
    return [[os.path.basename(state.path), *state[1:]] for state in states]


def _sample(disk: BlockDevice) -> str:
    """Mounting for writing alone changes the super block of a file system, or its log."""
    size, digest = disk.size, hashlib.sha256()
    places = {0: min(_ENDS, size), max(0, size - _ENDS): min(_ENDS, size)}
    step = max(_SAMPLE_BYTES, size // _SAMPLES // 4096 * 4096)
    for start in range(0, size, step):
        places.setdefault(start, min(_SAMPLE_BYTES, size - start))
    for start, length in sorted(places.items()):
        digest.update(read(disk, start, length))
    return digest.hexdigest()


def require_same(disk: BlockDevice, identity: str, name: str) -> None:
    """Raises CorruptDisk where it is another disk, or was changed."""
    if identity_of(disk) != identity:
        raise CorruptDisk(
            "was changed under its pending transaction, or is another disk by now, so the writes of"
            " the transaction do not fit it",
            path=name,
            found="another state of its files than when the transaction began",
            hint="Discard the transaction (vmdk_mount with state: discarded) and do it again; "
            "or bring back the disk as it was, if it was moved away.",
        )
