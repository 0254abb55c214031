# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where the disks of a lease are to be had, and a connection there that can be trusted."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import re
import socket
import ssl
import typing as t
import urllib.parse

from ..._device.errors import TransportUnavailable, UntrustedCertificate
from ..._vsphere.connection.target import HTTPS
from ..._vsphere.connection.unreachable import from_network
from ..._vsphere.connection.wire import connection_to
from ..._vsphere.machine.free_slot import KINDS

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._device.errors import DiskError
    from ..._vsphere.connection.target import VCenter
    from ..._vsphere.connection.wire import Connection

BROKEN = (OSError, http.client.HTTPException)
# Seconds: while a host reads zeros, some terabytes of them, it has nothing to send.
SILENCE = 3600.0
_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4))  # tcp(7)
# `/vm-12/ParaVirtualSCSIController0:1`, or `/web01/…` where the machine is being made.
_KEY = re.compile(r"(?P<controller>[A-Za-z]+)(?P<bus>\d+):(?P<unit>\d+)$")
_FAMILIES = {kind.vim_name: kind.family for kind in KINDS.values()} | {
    "VirtualIDEController": "ide"
}
_DIGESTS = {40: hashlib.sha1, 64: hashlib.sha256}


@dataclasses.dataclass(frozen=True)
class Link:
    """One disk's address at the host that has it. `slot`: scsi0:0."""

    slot: str
    at: VCenter
    path: str
    thumbprint: str  # of the host's certificate, as vCenter knows it; may be empty

    def connect(self) -> Connection:
        """Open. A certificate must be one that this host trusts, or the one that vCenter names.

        Raises ServerUnreachable, UntrustedCertificate.
        """
        connection = self._connect()
        _ask_for_life(connection.sock)
        return connection

    def _connect(self) -> Connection:
        connection = self._connection()
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            connection.close()
            if not self.thumbprint:
                raise self.broken(error) from error
            return self._connect_pinned()
        except BROKEN as error:
            connection.close()
            raise self._unreached(error) from error
        return connection

    def _connect_pinned(self) -> Connection:
        """Hosts sign for themselves, and are called by their addresses."""
        connection = self._connection(trusting=True)
        try:
            connection.connect()
            shown = connection.sock.getpeercert(binary_form=True) or b""
        except BROKEN as error:
            connection.close()
            raise self._unreached(error) from error
        wanted = _plain(self.thumbprint)
        digest = _DIGESTS.get(len(wanted), hashlib.sha256)
        if digest(shown).hexdigest() != wanted:
            connection.close()
            raise UntrustedCertificate(
                "the host's certificate is not the one that vCenter knows",
                path=self.at.address,
                found=digest(shown).hexdigest(),
                expected=wanted,
                hint="Somebody may be listening in. If the host's certificate was renewed,"
                " reconnect the host in vCenter.",
            )
        return connection

    def _connection(self, *, trusting: bool = False) -> Connection:
        connection = connection_to(self.at, trusting=trusting)
        connection.answer_timeout = SILENCE
        return connection

    def broken(self, error: BaseException) -> DiskError:
        """The error for a connection that failed."""
        return from_network(error, self.at, f"transfer the disk {self.slot}")

    def _unreached(self, error: BaseException) -> DiskError:
        told = self.broken(error)
        if not isinstance(told, UntrustedCertificate):
            told.hint = (
                "vSphere has the disk there: this host must be able to reach it by that name and"
                " port. Look at DNS and firewalls, or use another transport."
            )
        return told


def links_of(vcenter: VCenter, info: t.Any) -> list[Link]:
    """Those of disks; a machine's other files are not ours."""
    found = []
    for device in info.deviceUrl:
        slot = slot_in(device.key) or slot_in(device.importKey)
        if slot is not None:
            found.append(_link(vcenter, slot, device))
    return found


def link_for(links: Iterable[Link], slot: str, name: str) -> Link:
    """Raises TransportUnavailable where vSphere offers no such disk, or cannot keep them apart."""
    links = list(links)
    found = [link for link in links if link.slot == slot]
    if len(found) != 1:
        raise TransportUnavailable(
            f"vSphere does not offer the disk {slot} for transfer",
            path=name,
            found=", ".join(link.slot for link in links) or "no disks",
            hint="Use another transport for it.",
        )
    return found[0]


def slot_in(key: str | None) -> str | None:
    """`scsi0:1`; None for what is no disk's place."""
    found = _KEY.search(key or "")
    family = _FAMILIES.get(found["controller"]) if found else None
    return f"{family}{found['bus']}:{found['unit']}" if found and family else None


def _link(vcenter: VCenter, slot: str, device: t.Any) -> Link:
    url = urllib.parse.urlsplit(device.url)
    host, port = url.hostname or "*", url.port
    # Hosts do not know by what name they are called: that is the one we spoke to.
    at = vcenter.hostname if host == "*" else host
    default = vcenter.port if host == "*" else HTTPS
    path = urllib.parse.urlunsplit(("", "", url.path, url.query, ""))
    return Link(
        slot,
        dataclasses.replace(vcenter, hostname=at, port=port or default),
        path,
        device.sslThumbprint or "",
    )


def _ask_for_life(connected: socket.socket) -> None:
    """In the silence: so that a host that was switched off is noticed, and firewalls in between
    do not take the connection for dead."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _plain(thumbprint: str) -> str:
    return re.sub(r"[^0-9a-f]", "", thumbprint.lower())
