# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The transports of one machine's backup, in the order in which the user wants them tried."""

from __future__ import annotations

import typing as t

from ...._device.errors import InvalidRequest
from ...._transport.choose import Absent
from ...._transport.datastore_frozen import Datastore
from ...._transport.hotadd.transport import HotAdd
from ...._transport.nfc.transport import Nfc
from ...._transport.vddk.transport import MODES, Vddk

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...._transport.frozen import Transport
    from ...._vsphere.connection.session import Session
    from ...._vsphere.snapshots.journal import Journal

VDDK_MODES = ("san", "hotadd", "nbdssl", "nbd")
VDDK_DEFAULT = tuple(MODES.split(":"))
HOTADD, VDDK, DATASTORE, NFC = NAMES = ("hotadd", "vddk", "datastore", "nfc")


def make_transports(
    session: Session,
    journal: Journal,
    wanted: Sequence[str],
    *,
    proxy_vm: str | None = None,
    vddk_libdir: str | None = None,
    vddk_modes: Sequence[str] = (),
) -> list[Transport]:
    """Nothing is asked of anybody yet. Raises InvalidRequest for a name that there is not."""
    unknown = [name for name in wanted if name not in NAMES]
    if unknown or not wanted:
        raise InvalidRequest(
            "there is no such transport",
            found=", ".join(unknown) or "none",
            expected=f"some of {', '.join(NAMES)}",
        )

    def make(name: str) -> Transport:
        if name == HOTADD:
            return HotAdd(session, journal, proxy_vm=proxy_vm)
        if name == DATASTORE:
            return Datastore(session)
        if name == NFC:
            return Nfc(session)
        return _vddk(session, vddk_libdir, vddk_modes)

    return [make(name) for name in dict.fromkeys(wanted)]


def _vddk(session: Session, libdir: str | None, modes: Sequence[str]) -> Transport:
    if libdir is None:
        return Absent(VDDK, "the option vddk_libdir does not say where VMware's library is")
    return Vddk(session, libdir, modes=":".join(modes or VDDK_DEFAULT))
