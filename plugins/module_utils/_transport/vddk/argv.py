# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The command line of nbdkit for one disk. Rules and their sources: nbdkit-vddk-plugin(1)."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..._vsphere.connection.target import VCenter
    from ..frozen import FrozenDisk

# The fastest of those that VMware measured (VDDK 7.0.3 release notes); more and opening fails.
CONFIGURATION = """\
vixDiskLib.nfcAio.Session.BufSizeIn64KB=16
vixDiskLib.nfcAio.Session.BufCount=4
"""
# From the client to the plugin. An nbdkit that is told to end does not close its disk any more,
# and ESXi keeps the connection for a while; so it ends by itself when we have gone. Asking for
# holes is notably slow, so answers are kept. The plugin takes whole sectors only; large requests
# make ESXi run out of memory (NFC error 5).
_FILTERS = ("exitlast", "cacheextents", "blocksize", "retry")
_SETTINGS = ("minblock=512", "maxdata=2M", "retries=5")


class Place(t.NamedTuple):
    """Where this run of nbdkit has its things."""

    socket: str
    configuration: str
    password: int  # the file descriptor to read it from: it is never in a command line


def command(
    nbdkit: str,
    libdir: str,
    disk: FrozenDisk,
    vcenter: VCenter,
    thumbprint: str,
    place: Place,
    modes: str,
) -> list[str]:
    """One nbdkit serves one disk, to us only, and ends with us.

    modes: VDDK's own transports, such as `san:nbdssl:nbd`.
    """
    options = {
        "libdir": libdir,
        "config": place.configuration,
        "server": vcenter.hostname,
        "port": str(vcenter.port),
        "user": vcenter.username,
        "password": f"-{place.password}",
        "thumbprint": thumbprint,
        "vm": f"moref={disk.vm._moId}",
        **({} if disk.snapshot is None else {"snapshot": disk.snapshot._moId}),
        "transports": modes,
        "file": disk.path,
    }
    return [
        nbdkit,
        "--foreground",
        "--exit-with-parent",
        "--readonly",
        "--unix",
        place.socket,
        *(f"--filter={name}" for name in _FILTERS),
        "vddk",
        *(f"{name}={value}" for name, value in options.items()),
        *_SETTINGS,
    ]
