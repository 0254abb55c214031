# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The packages of a guest as a CycloneDX 1.6 document. The same packages give the same document:
there is no time in it, and its serial number is made of its content."""

from __future__ import annotations

import json
import typing as t
import urllib.parse
import uuid

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_SPACE = uuid.UUID("6f4f2b5e-8a57-5d0b-9a39-0b6f5a4b3c21")  # ours, for uuid5
_TYPES = {"dpkg": "deb", "rpm": "rpm", "apk": "apk", "windows": "generic"}  # purl-spec, types


def bill_of_materials(guest: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Of what facts_of() tells."""
    components = [_component(package, guest) for package in guest["packages"]]
    unique = {component["bom-ref"]: component for component in components}
    document: dict[str, t.Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _system(guest)},
        "components": [unique[name] for name in sorted(unique)],
    }
    text = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, text)}"}


def purl(package: Mapping[str, str], guest: Mapping[str, t.Any]) -> str:
    """The package URL (purl-spec): `pkg:deb/debian/apt@2.6.1?arch=amd64&distro=debian-12`."""
    version, qualifiers = package["version"], []
    if package["arch"] not in ("", "(none)"):
        qualifiers.append(f"arch={_quoted(package['arch'])}")
    if guest.get("id") and guest.get("version"):
        qualifiers.append(f"distro={_quoted(guest['id'])}-{_quoted(guest['version'])}")
    if package["manager"] == "rpm" and ":" in version:
        epoch, _colon, version = version.partition(":")
        qualifiers.append(f"epoch={_quoted(epoch)}")
    kind = _TYPES[package["manager"]]
    parts = [kind, *filter(None, [_quoted(guest.get("id") or "")]), _quoted(package["name"])]
    text = f"pkg:{'/'.join(parts)}"
    if version:
        text += f"@{_quoted(version)}"
    return f"{text}?{'&'.join(sorted(qualifiers))}" if qualifiers else text


def _component(package: Mapping[str, str], guest: Mapping[str, t.Any]) -> dict[str, t.Any]:
    url = purl(package, guest)
    found: dict[str, t.Any] = {
        "type": "library",
        "bom-ref": url,
        "name": package["name"],
        "version": package["version"],
        "purl": url,
    }
    if package["source"]:
        found["properties"] = [{"name": "vdisk:source", "value": package["source"]}]
    return found


def _system(guest: Mapping[str, t.Any]) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {
        "type": "operating-system",
        "bom-ref": "operating-system",
        "name": guest.get("id") or "unknown",
    }
    if guest.get("version"):
        found["version"] = guest["version"]
    if guest.get("name"):
        found["description"] = guest["name"]
    return found


def _quoted(text: str) -> str:
    """purl-spec leaves letters, digits and `.-_~` as they are, and the colon."""
    return urllib.parse.quote(text, safe=".-_~:")
