# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Why a vCenter cannot be talked to."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import ssl
import typing as t
import xml.parsers.expat

from ..._device.errors import DiskError, ServerUnreachable, UntrustedCertificate
from .wire import connection_to, silent_trouble

if t.TYPE_CHECKING:
    from .target import VCenter

# Of OpenSSL's X509_V_ERR_*.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
_DROPPED = (ConnectionError, ssl.SSLEOFError, http.client.IncompleteRead)
_TRUST = (
    "Compare the fingerprint with the one that vCenter shows on its console or under Certificate"
    " Management. If it is the same, put vCenter's root certificate (https://{host}/certs/"
    "download.zip) among those that this host trusts, or into a file that REQUESTS_CA_BUNDLE names."
    " With validate_certs: false, anybody on the way could read the password."
)
_LOOK_AT_PROXY = "Check proxy_host and proxy_port (VMWARE_PROXY_HOST, VMWARE_PROXY_PORT)."
_LOOK = "Check hostname and port (VMWARE_HOST, VMWARE_PORT), firewalls, and whether it is up."


def from_network(error: BaseException, vcenter: VCenter, what: str) -> DiskError:
    """The DiskError for a connection that failed. `what` goes on after "cannot"."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, vcenter)
    reason, hint = _reason(error, vcenter)
    message = f"cannot {what}: {reason}"
    return ServerUnreachable(message, path=vcenter.address, hint=hint)


def not_a_vcenter(vcenter: VCenter, reason: str) -> ServerUnreachable:
    """Something answers that is no vCenter."""
    return ServerUnreachable(
        f"this is no vCenter or ESXi host: {reason}",
        path=vcenter.address,
        hint="Check hostname and port (VMWARE_HOST, VMWARE_PORT).",
    )


def _reason(error: BaseException, vcenter: VCenter) -> tuple[str, str]:
    proxy = vcenter.proxy_host
    if isinstance(error, socket.gaierror):
        option = "proxy_host (VMWARE_PROXY_HOST)" if proxy else "hostname (VMWARE_HOST)"
        name = proxy or vcenter.hostname
        return f"the name {name} cannot be resolved", f"Check {option}, and DNS."
    if isinstance(error, ConnectionRefusedError) and proxy:
        return f"nothing listens at the proxy {proxy}", _LOOK_AT_PROXY
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there", _LOOK
    if isinstance(error, TimeoutError):
        return "no answer in time", _LOOK
    if isinstance(error, _DROPPED):
        return "the connection was dropped", "Try again; look at vCenter's health if it stays so."
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection can be had: {error.reason or error}", _LOOK
    if isinstance(error, OSError) and "Tunnel connection failed" in str(error):
        return f"the proxy {proxy} refuses: {error}", "Ask who runs the proxy."
    if isinstance(error, xml.parsers.expat.ExpatError):
        return "what answers there does not speak the vSphere API", _LOOK
    return str(error) or type(error).__name__, _LOOK


def _untrusted(error: ssl.SSLCertVerificationError, vcenter: VCenter) -> UntrustedCertificate:
    found = _fingerprint(vcenter)
    trouble = silent_trouble()
    hint = (f"{trouble}. " if trouble else "") + _TRUST.format(host=vcenter.address)
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        hint = "Use, as hostname, a name that its certificate is for."
    elif error.verify_code in (_NOT_YET_VALID, _EXPIRED):
        hint = "Renew the certificate of vCenter, or set the clock of this host right."
    return UntrustedCertificate(
        f"the certificate is not trusted: {error.verify_message}",
        path=vcenter.address,
        found=found,
        hint=hint,
    )


def _fingerprint(vcenter: VCenter) -> str | None:
    """Of the certificate that the server shows, asked for without telling it anything."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        with contextlib.closing(connection_to(vcenter, trusting=True)) as connection:
            connection.connect()
            shown = connection.sock.getpeercert(binary_form=True)
        digest = hashlib.sha256(shown or b"").hexdigest().upper()
        return "SHA-256 fingerprint " + ":".join(
            digest[at : at + 2] for at in range(0, len(digest), 2)
        )
    return None
