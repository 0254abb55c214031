# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What an appliance brought along in its OVF: products, properties, sections."""

from __future__ import annotations

import typing as t

from ..connection import libraries
from .filters import is_secret
from .plain import from_plain, to_plain

_ITEMS = {"product": "ProductSpec", "property": "PropertySpec", "ovfSection": "OvfSectionSpec"}
_SAME = (
    "eula", "ovfEnvironmentTransport", "installBootRequired", "installBootStopDelay",
    "ipAssignment",
)  # fmt: skip


def recorded_vapp(info: t.Any) -> tuple[dict[str, t.Any], list[str]]:
    """vAppConfig as it is recorded, and the names of properties whose values are secrets."""
    if info is None:
        return {}, []
    found: dict[str, t.Any] = to_plain(info)
    secret = []
    for each in found.get("property", ()):
        if _is_secret(each):
            secret.append(f"vApp property {each.get('id')}")
            each.pop("value", None)
            each.pop("defaultValue", None)
    return found, secret


def _is_secret(item: dict[str, t.Any]) -> bool:
    values = f"{item.get('value', '')} {item.get('defaultValue', '')}"
    is_password = str(item.get("type", "")).startswith("password")
    return is_password or is_secret(str(item.get("id", "")), values)


def vapp_spec(recorded: dict[str, t.Any]) -> t.Any:
    """The request for the same; None where there was nothing."""
    if not recorded:
        return None
    kinds = libraries.vim().vApp
    spec = kinds.VmConfigSpec()
    for name in _SAME:
        if name in recorded:
            setattr(spec, name, from_plain(recorded[name]))
    for name, kind in _ITEMS.items():
        add = getattr(kinds, kind)
        items = [add(operation="add", info=from_plain(each)) for each in recorded.get(name, ())]
        setattr(spec, name, items)
    return spec
