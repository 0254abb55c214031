# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which vCenter, as whom, and which way."""

from __future__ import annotations

import dataclasses
import typing as t
import urllib.parse

from ..._device.errors import InvalidRequest

if t.TYPE_CHECKING:
    from collections.abc import Mapping

HTTPS = 443
# The options nobody can do without, and the environment variables that stand in for them.
REQUIRED = {
    "hostname": "VMWARE_HOST",
    "username": "VMWARE_USER",
    "password": "VMWARE_PASSWORD",
}


@dataclasses.dataclass(frozen=True)
class VCenter:
    """A vCenter or ESXi host, and who logs in there."""

    hostname: str
    username: str
    password: str = dataclasses.field(repr=False)
    port: int = HTTPS
    validate_certs: bool = True
    proxy_host: str | None = None
    proxy_port: int | None = None
    proxy_protocol: str = "https"
    datacenter: str | None = None

    @property
    def address(self) -> str:
        """Host and port, as they stand in a URL."""
        return f"{bracketed(self.hostname)}:{self.port}"


def from_options(options: Mapping[str, t.Any]) -> VCenter:
    """From the options of a module, which bear the names of vmware.vmware.

    Raises InvalidRequest where one is missing or is no address.
    """
    missing = [name for name in REQUIRED if not options.get(name)]
    if missing:
        variables = ", ".join(REQUIRED[name] for name in missing)
        raise InvalidRequest(
            f"for a vCenter or ESXi host, the option {' and '.join(missing)} must be given",
            hint=f"Give it in the task, in module_defaults, or in the environment ({variables}).",
        )
    _refuse_secrets(options.get("proxy_host") or "", "proxy_host")
    fields = {field.name for field in dataclasses.fields(VCenter)}
    given = {name: options[name] for name in fields & options.keys() if options[name] is not None}
    given["hostname"], given["port"] = host_and_port(options["hostname"], given.get("port", HTTPS))
    return VCenter(**given)


def host_and_port(text: str, port: int = HTTPS) -> tuple[str, int]:
    """From what users write: a name, an address, either with a port, or a URL.

    Raises InvalidRequest.
    """
    # First, and without a word of it: what goes wrong below quotes the text.
    _refuse_secrets(text, "hostname", "Give them in the options username and password.")
    try:
        url = urllib.parse.urlsplit(text if "://" in text else f"https://{bracketed(text.strip())}")
        host, own_port = url.hostname, url.port
    except ValueError as error:
        raise _not_a_host(text, str(error)) from error
    if url.scheme != "https":
        raise _not_a_host(text, f"{url.scheme} is not encrypted; vCenter speaks https")
    if not host or any(character.isspace() for character in host):
        raise _not_a_host(text, "there is no host in it")
    if own_port is not None and port not in (HTTPS, own_port):
        raise _not_a_host(text, f"the option port says {port}")
    return host, own_port or port


def bracketed(host: str) -> str:
    """As it stands in a URL: an IPv6 address has brackets there."""
    is_bare = host.count(":") > 1 and not host.startswith("[")
    return f"[{host}]" if is_bare else host


def _refuse_secrets(
    text: str, option: str, hint: str = "Proxies that ask for a password cannot be used."
) -> None:
    if "@" in text:
        raise InvalidRequest(f"the option {option} must not hold a user or a password", hint=hint)


def _not_a_host(text: str, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"the option hostname is no address of a vCenter: {reason}",
        found=repr(text),
        expected="something like vcenter.example.com",
    )
