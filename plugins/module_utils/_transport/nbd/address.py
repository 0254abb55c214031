# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What an NBD URI says: doc/uri.md of NetworkBlockDevice/nbd, and nbd_connect_uri(3)."""

from __future__ import annotations

import dataclasses
import typing as t
import urllib.parse

from ..._device.errors import BadReference
from .protocol import DEFAULT_PORT, LONGEST_STRING

_PARAMETERS = ("socket", "tls-certificates", "tls-hostname", "tls-verify-peer")
_FORMS = (
    "nbd://host:10809/export, nbds://host/export?tls-certificates=/etc/pki/nbd"
    " or nbd+unix:///export?socket=/run/x.sock"
)


@dataclasses.dataclass(frozen=True)
class Trust:
    """How to know the server, and how it knows us. The folder holds ca-cert.pem, and, where the
    server wants to know its clients, client-cert.pem and client-key.pem."""

    certificates: str | None = None  # None: libnbd's usual folders, else what this host trusts
    hostname: str | None = None  # in the server's certificate
    verify: bool = True


@dataclasses.dataclass(frozen=True)
class Address:
    """Where an export is: either host and port, or a Unix socket."""

    uri: str
    export: str
    host: str | None = None
    port: int = DEFAULT_PORT
    socket: str | None = None
    trust: Trust | None = None  # None: without TLS

    @property
    def server(self) -> str:
        """For messages."""
        if self.socket is not None:
            return self.socket
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"{host}:{self.port}"


def parse_uri(uri: str) -> Address:
    """Raises BadReference."""
    try:
        parts = urllib.parse.urlsplit(uri)
        port = parts.port or DEFAULT_PORT
        values = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise _bad(uri, str(error)) from None
    scheme, plus, kind = parts.scheme.lower().partition("+")
    _check_parameters(uri, values)
    address = Address(
        uri,
        urllib.parse.unquote(parts.path.removeprefix("/")),
        trust=_trust(uri, values) if scheme == "nbds" else None,
    )
    if len(address.export.encode()) > LONGEST_STRING:
        raise _bad(uri, "the name of the export is too long")
    if plus and kind != "unix":
        raise _bad(uri, f"knows no way called {kind}")
    if kind == "unix":
        return _on_socket(address, values, parts.hostname)
    if not parts.hostname or "socket" in values:
        raise _bad(uri, "names no host" if not parts.hostname else "names a host and a socket")
    return dataclasses.replace(address, host=parts.hostname, port=port)


def _on_socket(address: Address, values: dict[str, str], host: str | None) -> Address:
    if host or not values.get("socket"):
        raise _bad(address.uri, "names a host" if host else "names no socket")
    return dataclasses.replace(address, socket=values["socket"])


def _check_parameters(uri: str, values: dict[str, str]) -> None:
    unknown = sorted(set(values) - set(_PARAMETERS))
    if any(name.startswith("tls-psk") for name in unknown):
        raise _bad(uri, "pre-shared keys are not supported; use certificates")
    if unknown:
        raise _bad(uri, f"has an unknown parameter {unknown[0]}")


def _trust(uri: str, values: dict[str, str]) -> Trust:
    verify = values.get("tls-verify-peer", "true").lower()
    if verify not in ("true", "false", "1", "0", "yes", "no"):
        raise _bad(uri, "tls-verify-peer is neither true nor false")
    return Trust(
        certificates=values.get("tls-certificates"),
        hostname=values.get("tls-hostname"),
        verify=verify in ("true", "1", "yes"),
    )


def make_uri(address: Address, *, certificates: str | None = None) -> str:
    """The URI of an address, as libnbd and qemu take it."""
    scheme = "nbd" if address.trust is None else "nbds"
    values: dict[str, t.Any] = {}
    place = address.server
    if address.socket is not None:
        scheme, place, values = f"{scheme}+unix", "", {"socket": address.socket}
    if certificates is not None:
        values["tls-certificates"] = certificates
    query = urllib.parse.urlencode(values, safe="/")
    export = urllib.parse.quote(address.export, safe="")
    return f"{scheme}://{place}/{export}" + (f"?{query}" if query else "")


def _bad(uri: str, why: str) -> BadReference:
    return BadReference(f"the NBD address '{uri}': {why}", expected=f"such as {_FORMS}")
