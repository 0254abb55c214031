# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a disk is started by, BIOS or EFI, and the files of the latter."""

from __future__ import annotations

import glob
import json
import os
import typing as t

from ..._device.device import read
from ..._device.errors import CorruptDisk, MissingTool
from ..partitions import list_partitions

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice

_BOOT_CODE = 440  # bytes at the start of an MBR, UEFI specification 5.2.1
_SYSTEM_PARTITION = ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef")
# Where packages describe their firmware: docs/interop/firmware.json of QEMU.
_DESCRIPTIONS = ("/etc/qemu/firmware", "/usr/share/qemu/firmware")
_UNWANTED = {"enrolled-keys", "requires-smm"}  # a disk under test may be signed by nobody
_PACKAGES = {"x86_64": "ovmf", "aarch64": "qemu-efi-aarch64"}


class EfiFiles(t.NamedTuple):
    """Code, and the variables of a new machine."""

    code: str
    variables: str


def firmware_of(disk: BlockDevice) -> str:
    """bios or efi: the latter for a disk with an EFI system partition and no code for a BIOS."""
    if disk.size < _BOOT_CODE or any(read(disk, 0, _BOOT_CODE)):
        return "bios"
    try:
        kinds = {part.type_id.lower() for part in list_partitions(disk)}
    except CorruptDisk:
        return "bios"
    return "efi" if kinds.intersection(_SYSTEM_PARTITION) else "bios"


def efi_files(architecture: str, folders: tuple[str, ...] = _DESCRIPTIONS) -> EfiFiles:
    """The first one that this host's packages offer. Raises MissingTool."""
    paths = sorted(
        (path for folder in folders for path in glob.glob(os.path.join(folder, "*.json"))),
        key=os.path.basename,
    )
    for path in paths:
        found = _described(path, architecture)
        if found is not None:
            return found
    package = _PACKAGES.get(architecture, "the UEFI firmware of that architecture")
    raise MissingTool(
        f"there is no EFI firmware for {architecture} on this host",
        hint=f"apt-get install {package}",
    )


def _described(path: str, architecture: str) -> EfiFiles | None:
    try:
        with open(path, encoding="utf-8") as stream:
            facts = json.load(stream)
        mapping = facts["mapping"]
        fits = (
            "uefi" in facts["interface-types"]
            and any(target["architecture"] == architecture for target in facts["targets"])
            and not _UNWANTED.intersection(facts["features"])
            and mapping["device"] == "flash"
            and mapping["executable"]["format"] == "raw"
        )
        found = EfiFiles(mapping["executable"]["filename"], mapping["nvram-template"]["filename"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if fits and all(map(os.path.isfile, found)) else None
