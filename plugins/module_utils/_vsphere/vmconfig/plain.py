# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Data objects of vSphere as plain JSON, and back, without losing what this release cannot name."""

from __future__ import annotations

import base64
import datetime
import typing as t

from ..._device.errors import InvalidRequest
from ..connection import libraries

TYPE, REFERENCE, TIME, BYTES = "_type", "_ref", "_time", "_bytes"
_DYNAMIC = ("dynamicType", "dynamicProperty")


def to_plain(value: t.Any) -> t.Any:
    """Without what is not set. A managed object becomes {"_ref": "Network:network-6"}."""
    types = libraries.api_versions()
    if isinstance(value, types.ManagedObject):
        return {REFERENCE: f"{type(value).__name__.rpartition('.')[2]}:{value._moId}"}
    if isinstance(value, types.DataObject):
        return _object_to_plain(value)
    if isinstance(value, list):
        return [to_plain(each) for each in value]
    if isinstance(value, datetime.datetime):
        return {TIME: value.isoformat()}
    if isinstance(value, bytes):
        return {BYTES: base64.b64encode(bytes(value)).decode()}
    if isinstance(value, (bool, type(None))):
        return value
    return next((kind(value) for kind in (int, float, str) if isinstance(value, kind)), str(value))


def _object_to_plain(value: t.Any) -> dict[str, t.Any]:
    found = {TYPE: type(value).__name__}
    for field in value._GetPropertyList():
        content = getattr(value, field.name)
        empty = content is None or (isinstance(content, list) and not content)
        if empty or field.name in _DYNAMIC:
            continue
        found[field.name] = to_plain(content)
    return found


def from_plain(value: t.Any) -> t.Any:
    """The data object that to_plain() was given; references to managed objects are left out.

    Raises InvalidRequest for a type that pyVmomi does not know.
    """
    if isinstance(value, list):
        return [from_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if TIME in value:
        return datetime.datetime.fromisoformat(value[TIME])
    if BYTES in value:
        return libraries.api_versions().binary(base64.b64decode(value[BYTES]))
    if REFERENCE in value:
        return None
    made = _type(value[TYPE])()
    known = {field.name for field in made._GetPropertyList()}
    for name in known & value.keys():
        setattr(made, name, from_plain(value[name]))
    return made


def _type(name: str) -> t.Any:
    try:
        return libraries.api_versions().GetVmodlType(name)
    except KeyError as error:
        raise InvalidRequest(
            f"the recorded configuration names {name}, which this pyVmomi does not know",
            hint="Install a newer one: python3 -m pip install --upgrade pyvmomi",
        ) from error
