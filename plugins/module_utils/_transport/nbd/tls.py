# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""TLS for NBD, with the files and folders that libnbd, nbdkit and qemu use."""

from __future__ import annotations

import os
import ssl
import typing as t

from ..._device.errors import DiskNotFound, InvalidRequest, ServerUnreachable, UntrustedCertificate

if t.TYPE_CHECKING:
    from .address import Address, Trust
    from .wire import Wire

CA, SERVER, CLIENT = "ca-cert.pem", "server", "client"
_USUAL = ("~/.pki/libnbd", "~/.config/pki/libnbd", "/etc/pki/libnbd")  # nbd_set_tls(3)


def client_context(trust: Trust) -> ssl.SSLContext:
    """Raises DiskNotFound, InvalidRequest."""
    folder = trust.certificates or _usual_folder()
    if folder is None:
        context = ssl.create_default_context()
    else:
        context = _context(ssl.Purpose.SERVER_AUTH, os.path.expanduser(folder), needs_ca=True)
        _show(context, os.path.expanduser(folder), CLIENT, needed=False)
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def server_context(folder: str, *, verify_clients: bool) -> ssl.SSLContext:
    """With server-cert.pem and server-key.pem. Raises DiskNotFound, InvalidRequest."""
    context = _context(ssl.Purpose.CLIENT_AUTH, folder, needs_ca=verify_clients)
    _show(context, folder, SERVER, needed=True)
    if verify_clients:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def start(wire: Wire, address: Address, trust: Trust) -> None:
    """The client's side, after the server agreed. Raises UntrustedCertificate, ServerUnreachable"""
    context = client_context(trust)
    try:
        wire.secure(
            context, hostname=trust.hostname or address.host or "localhost", is_server=False
        )
    except ssl.SSLCertVerificationError as error:
        raise UntrustedCertificate(
            f"the server's certificate is not trusted: {error.verify_message}",
            path=address.uri,
            hint="Name the folder of its ca-cert.pem (?tls-certificates=/etc/pki/nbd), and the name"
            " in its certificate (&tls-hostname=) where that is another one.",
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServerUnreachable(f"TLS cannot be begun: {reason}", path=address.uri) from error


def _usual_folder() -> str | None:
    for name in map(os.path.expanduser, _USUAL):
        if os.path.exists(os.path.join(name, CA)):
            return name
    return None


def _context(purpose: ssl.Purpose, folder: str, *, needs_ca: bool) -> ssl.SSLContext:
    path = os.path.join(folder, CA)
    if not os.path.exists(path):
        if needs_ca:
            raise DiskNotFound("the certificate of the authority is missing", path=path)
        return ssl.create_default_context(purpose)
    try:
        return ssl.create_default_context(purpose, cafile=path)
    except OSError as error:
        raise InvalidRequest(f"is no certificate: {error}", path=path) from None


def _show(context: ssl.SSLContext, folder: str, who: str, *, needed: bool) -> None:
    """Make our own certificate known."""
    certificate = os.path.join(folder, f"{who}-cert.pem")
    key = os.path.join(folder, f"{who}-key.pem")
    for path in (certificate, key):
        if not os.path.exists(path):
            if needed:
                raise DiskNotFound("TLS needs this file", path=path)
            return
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except OSError as error:
        raise InvalidRequest(
            f"certificate and key cannot be used: {error}", path=certificate
        ) from None


def _no_password() -> str:
    """Instead of asking on a terminal."""
    return ""
