# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What of a VM's configuration is not recorded: secrets, and what belongs to one run of the VM."""

from __future__ import annotations

import fnmatch
import typing as t

_SECRET = (
    "*password*", "*passwd*", "*passphrase*", "*secret*", "*token*", "*credential*",
    "*privatekey*", "*private_key*", "*apikey*", "*api_key*", "*.vnc.key",
    "guestinfo.userdata*", "guestinfo.vendordata*", "guestinfo.metadata*",
    "guestinfo.ignition.config*", "guestinfo.ovfenv", "guestinfo.talos.config*",
    "*pass*", "*pwd*", "*key*", "*psk*", "*user-data*", "*user_data*", "*cloudinit*",
    "*cloud-init*", "*kubeconfig*", "guestinfo.coreos.config*", "machine.id", "*.pw", "*_pw",
    "encryption.*", "datafilekey", "vtpm.*", "*keysafe*",
)  # fmt: skip
_VOLATILE = (
    "nvram", "*ctkenabled", "migrate.*", "vmotion.*", "*.derivedname", "viv.*", "vc.uuid",
    "uuid.*", "extendedconfigfile", "vmxstats.filename", "numa.autosize.*", "cleanshutdown",
    "softpoweroff", "monitor.phys_bits_used", "guestinfo.vmtools.*", "guestinfo.appinfo",
    "guestos.detailed.data", "vmware.tools.*", "toolsinstallmanager.*", "tools.remindinstall",
    "replay.*", "*.redo", "*.generatedaddress*", "sched.swap.*",
)  # fmt: skip
# Of devices: what vSphere makes up, or what tells of one moment only.
VOLATILE_FIELDS = (
    "changeId", "contentId", "parent", "deltaDiskFormat", "deltaGrainSize", "digestEnabled",
    "deltaDiskFormatVariant", "backingObjectId", "slotInfo", "status", "diskObjectId",
    "vDiskVersion", "device", "externalId", "uptCompatibilityEnabled",
)  # fmt: skip


def is_secret(name: str) -> bool:
    """By its name, rather too often than too seldom."""
    return _matches(name, _SECRET)


def split_options(options: t.Iterable[t.Any]) -> tuple[dict[str, str], list[str]]:
    """extraConfig as it is recorded, and the names of those that are kept out as secrets."""
    kept, secret = {}, []
    for option in options:
        name = str(option.key)
        if is_secret(name):
            secret.append(name)
        elif not _matches(name, _VOLATILE):
            kept[name] = str(option.value)
    return dict(sorted(kept.items())), sorted(secret)


def without_volatile(value: t.Any) -> t.Any:
    """A plain device without VOLATILE_FIELDS, at any depth."""
    if isinstance(value, list):
        return [without_volatile(each) for each in value]
    if isinstance(value, dict):
        return {
            name: without_volatile(each)
            for name, each in value.items()
            if name not in VOLATILE_FIELDS
        }
    return value


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns)
