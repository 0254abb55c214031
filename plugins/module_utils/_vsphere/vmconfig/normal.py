# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A recorded configuration by the places of its devices: keys and ids differ from VM to VM."""

from __future__ import annotations

import typing as t

from .devices import kind_of, network_of

_NOT_COMPARED = ("key", "controllerKey", "deviceInfo", "backing")
_NAMELESS = ("moref", "vcenter", "names", "place", "devices", "slots", "extra_config", "tags")


def addresses(devices: list[dict[str, t.Any]]) -> dict[int, str]:
    """Of each device, by its key: `VirtualDisk ParaVirtualSCSIController0:1`, or its number."""
    found: dict[int, str] = {}
    counts: dict[str, int] = {}
    for device in sorted(devices, key=lambda each: ("busNumber" not in each, each["key"])):
        kind = kind_of(device)
        controller = found.get(device.get("controllerKey", -1))
        if "busNumber" in device:
            found[device["key"]] = f"{kind}{device['busNumber']}"
        elif controller is not None and not controller.startswith("VirtualPCI"):
            found[device["key"]] = f"{kind} {controller}:{device.get('unitNumber')}"
        else:
            counts[kind] = counts.get(kind, 0) + 1
            found[device["key"]] = f"{kind} {counts[kind]}"
    return found


def flatten(document: dict[str, t.Any]) -> dict[str, t.Any]:
    """Every single value by its path."""
    places = addresses(document["devices"])
    plain = {name: each for name, each in document.items() if name not in _NAMELESS}
    plain["devices"] = {
        places[device["key"]]: _device(document, device) for device in document["devices"]
    }
    found = dict(_leaves("", plain))
    for name in document["extra_config"]:
        found[f"extra_config.{name}"] = document["extra_config"][name]
    found.update({f"tags.{label}": True for label in document["tags"]})
    return {
        path: places.get(value, value) if _is_key(path) else value for path, value in found.items()
    }


def _device(document: dict[str, t.Any], device: dict[str, t.Any]) -> dict[str, t.Any]:
    found = {name: each for name, each in device.items() if name not in _NOT_COMPARED}
    if "controllerKey" not in device or _is_on_pci(document, device):
        found.pop("unitNumber", None)
    if "addressType" in device:
        found["network"] = network_of(document, device)
    elif "backing" in device:
        found["backing"] = device["backing"]
    return found


def _is_on_pci(document: dict[str, t.Any], device: dict[str, t.Any]) -> bool:
    kinds = {each["key"]: kind_of(each) for each in document["devices"]}
    return kinds.get(device["controllerKey"]) in (None, "VirtualPCIController")


def _is_key(path: str) -> bool:
    return path.endswith(".deviceKey")


def _leaves(path: str, value: t.Any) -> t.Iterator[tuple[str, t.Any]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}" if path else str(name), each)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _leaves(f"{path}[{number}]", each)
    else:
        yield path, value
