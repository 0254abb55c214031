# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""HTTPS connections to a vCenter: certificates, proxy, time-outs. SOAP, REST and files use them."""

from __future__ import annotations

import functools
import http.client
import os
import ssl
import typing as t

from ..._device.errors import InvalidRequest
from .target import bracketed

if t.TYPE_CHECKING:
    from .target import VCenter

CONNECT_TIMEOUT = 30.0  # seconds
# Between two bytes of an answer. vCenter may think for minutes about changed areas of a large disk.
ANSWER_TIMEOUT = 300.0
PROXY_PORT = 80
_TRUST = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Connection(http.client.HTTPSConnection):
    """Gives up soon on a host that is not there, and late on one that thinks."""

    answer_timeout = ANSWER_TIMEOUT
    _tunnel_host: str

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.answer_timeout)

    def _tunnel(self) -> None:
        """http.client forgets the brackets of an IPv6 address, before Python 3.13."""
        plain = self._tunnel_host
        self._tunnel_host = bracketed(plain)
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            self._tunnel_host = plain


def connection_to(
    vcenter: VCenter, *, host: str | None = None, port: int | None = None, trusting: bool = False
) -> Connection:
    """A connection that is not open yet, to the vCenter or, by the same road, to another host.

    `trusting` looks at no certificate: for finding out what is wrong with it only.
    """
    to = (host or vcenter.hostname, port or vcenter.port)
    context = ssl_context(validate_certs=vcenter.validate_certs and not trusting)
    if vcenter.proxy_host is None:
        return Connection(*to, timeout=CONNECT_TIMEOUT, context=context)
    through = (vcenter.proxy_host.strip("[]"), vcenter.proxy_port or PROXY_PORT)
    connection = Connection(*through, timeout=CONNECT_TIMEOUT, context=context)
    connection.set_tunnel(*to, headers={"Host": f"{bracketed(to[0])}:{to[1]}"})
    return connection


def ssl_context(*, validate_certs: bool) -> ssl.SSLContext:
    """What is trusted: the system, and the file that REQUESTS_CA_BUNDLE names, as in vmware.vmware.

    OpenSSL itself heeds SSL_CERT_FILE and SSL_CERT_DIR. Raises InvalidRequest.
    """
    bundle, *others = (os.environ.get(name) for name in _TRUST)
    return _context(validate_certs, bundle, *others)


@functools.lru_cache(maxsize=8)  # reading what a system trusts takes longer than a request
def _context(validate_certs: bool, bundle: str | None, *_others: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if bundle and (trouble := _load(context, bundle)):
        raise InvalidRequest(
            "the certificates that the environment names in REQUESTS_CA_BUNDLE cannot be had",
            path=bundle,
            found=trouble,
            hint="Correct the variable, or remove it.",
        )
    return context


def silent_trouble() -> str | None:
    """OpenSSL does not say where SSL_CERT_FILE names nothing that it can use."""
    named = os.environ.get("SSL_CERT_FILE")
    if named and (trouble := _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), named)):
        return f"SSL_CERT_FILE in the environment names {named}: {trouble}"
    return None


def _load(context: ssl.SSLContext, named: str) -> str | None:
    """What is wrong with a file, or a folder, of certificates."""
    if not os.path.exists(named):
        return "there is no such file"
    folder = os.path.isdir(named)
    try:
        context.load_verify_locations(
            cafile=None if folder else named, capath=named if folder else None
        )
    except ssl.SSLError:
        return "it holds no certificates"
    except OSError as error:
        return error.strerror or str(error)
    return None
