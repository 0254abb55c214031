# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The first way to a frozen disk that can be gone, and why those before it could not."""

from __future__ import annotations

import typing as t

from .._device.errors import DiskError, TransportUnavailable

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.device import BlockDevice
    from .frozen import FrozenDisk, Transport


class Chosen(t.NamedTuple):
    """`reason` says in words what was passed over, and why."""

    device: BlockDevice
    transport: Transport
    reason: str


class Absent:
    """In the place of a transport that was asked for and is not to be had here."""

    is_sequential = False

    def __init__(self, name: str, why: str) -> None:
        self.name, self._why = name, why

    def refusal(self, _disk: FrozenDisk) -> str | None:
        return self._why

    def open(self, disk: FrozenDisk) -> BlockDevice:
        """Raises TransportUnavailable."""
        raise TransportUnavailable(self._why, path=disk.path)

    def close(self) -> None:
        """Nothing to release."""


def choose(disk: FrozenDisk, transports: Sequence[Transport], passed: Sequence[str] = ()) -> Chosen:
    """Open the disk by the first of `transports` that carries it. `passed` is what was tried
    before, in words. Raises TransportUnavailable with all reasons."""
    told = list(passed)
    for transport in transports:
        why = transport.refusal(disk)
        if why is None:
            try:
                device = transport.open(disk)
            except DiskError as error:
                why = str(error)
            else:
                return Chosen(device, transport, reason_of(told))
        told.append(f"{transport.name}: {why}")
    raise TransportUnavailable(
        f"no transport can read the disk {disk.name} of {disk.vm_name}",
        path=disk.path,
        found="; ".join(told) or "none to try",
        hint="Mend one of these reasons, or allow other transports.",
    )


def foresee(disk: FrozenDisk, transports: Sequence[Transport]) -> tuple[str | None, str]:
    """(name, reason) of what choose() would take, as far as that is known before trying."""
    told: list[str] = []
    for transport in transports:
        why = transport.refusal(disk)
        if why is None:
            return transport.name, f"{reason_of(told)}, as far as that is known before trying"
        told.append(f"{transport.name}: {why}")
    return None, reason_of(told)


def reason_of(passed: Sequence[str]) -> str:
    """Of the transport that was taken in the end."""
    return f"passed over {'; '.join(passed)}" if passed else "the first of those to try"
