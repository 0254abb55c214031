# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Encrypted volumes among the volumes of a machine: each is tried once with the keys there are."""

from __future__ import annotations

import time
import typing as t

from ..._device.errors import CorruptDisk, UnsupportedDisk, WrongKey
from ..partitions import LUKS, Partition
from ..volumes import Volume
from .unlock import Unlocked, find_key, read_header

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._device.device import BlockDevice
    from ..assembled import Source
    from .secret import Secret

ENCRYPTED = "crypto_LUKS"
_PATIENCE = 300  # seconds for all volumes; what cryptsetup makes takes two for each key slot


class Locks:
    """What was tried so far."""

    def __init__(self, disks: Sequence[BlockDevice], keys: Sequence[Secret]) -> None:
        self._disks = disks
        self._keys = keys
        self._inside: dict[Source, Volume | None] = {}
        self._deadline = time.monotonic() + _PATIENCE
        self._refused = False
        self.problems: dict[Source, str] = {}

    def open(self, container: Volume) -> Volume | None:
        """What is inside, its content not looked at yet; None for what cannot be opened.

        Raises MissingLibrary, NoSpace.
        """
        source = container.source
        if source is None or not container.holds(ENCRYPTED):
            return None
        if source not in self._inside:
            try:
                self._inside[source] = self._unlock(container, source)
            except (CorruptDisk, UnsupportedDisk) as error:
                self._inside[source] = None
                self.problems[source] = str(error)
        return self._inside[source]

    def _unlock(self, container: Volume, source: Source) -> Volume | None:
        device = source.open(self._disks)
        header = read_header(device)
        if not header.slots:
            self.problems[source] = "its key slots are empty: nothing opens it any more"
            return None
        key = find_key(device, header, self._keys, self._deadline)
        if key is None:
            told = "locked, and not by this key" if self._keys else "locked: luks_key_file opens it"
            self.problems[source] = told
            self._refused |= bool(self._keys)
            return None
        inside = Unlocked(source, header.payload, key)
        kind = f"LUKS{header.version}, {header.payload.cipher}"
        name = f"luks-{header.uuid}"  # as systemd-cryptsetup calls it
        part = Partition(0, LUKS, "", kind, name, header.uuid, 0, inside.size)
        because = container.read_only_because
        return Volume(part, None, inside, name, "", because, _names(container))

    def require_right_key(self) -> None:
        """Raises WrongKey where the keys were tried, but none fits anything."""
        if self._refused and not any(self._inside.values()):
            raise WrongKey(
                "no encrypted volume here opens with this key",
                hint="A key file counts with every byte of it, as with cryptsetup --key-file. Is it"
                " the one of this machine? cryptsetup open --test-passphrase --key-file FILE tells"
                " that of a copy of the volume.",
            )


def _names(container: Volume) -> tuple[str, ...]:
    """What is inside answers to the names of its container too."""
    names: list[str | None] = [container.called or str(container.number)]
    if container.filesystem is not None:
        names += [container.filesystem.label, container.filesystem.uuid]
    return (*filter(None, names), *container.also_called)
