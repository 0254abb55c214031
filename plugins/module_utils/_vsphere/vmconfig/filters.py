# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What of a VM's configuration is not recorded: secrets, and what belongs to one run of the VM."""

from __future__ import annotations

import fnmatch
import re
import typing as t

_SECRET = (
    "*password*", "*passwd*", "*passphrase*", "*secret*", "*token*", "*credential*",
    "*privatekey*", "*private_key*", "*apikey*", "*api_key*", "*.vnc.key",
    "guestinfo.userdata*", "guestinfo.vendordata*", "guestinfo.metadata*",
    "guestinfo.ignition.config*", "guestinfo.ovfenv", "guestinfo.talos.config*",
    "*pass*", "*pwd*", "*key*", "*psk*", "*user-data*", "*user_data*", "*cloudinit*",
    "*cloud-init*", "*kubeconfig*", "guestinfo.coreos.config*", "machine.id", "*.pw", "*_pw",
    "encryption.*", "datafilekey", "vtpm.*", "*keysafe*", "coreos.config.*",
)  # fmt: skip
# Whatever an administrator wants to tell a guest goes into guestinfo, and first of all passwords:
# so only that is recorded which VMware Tools write, and what plainly is a name or an address.
_GUESTINFO = "guestinfo."
_HARMLESS = (
    "guestinfo.driver.*.version", "guestinfo.toolsinstallerrcode", "guestinfo.detailed.data",
    "guestinfo.vmware.components.available", "guestinfo.gc.status", "guestinfo.hostname",
    "guestinfo.fqdn", "guestinfo.domain", "guestinfo.ipaddress", "guestinfo.ip",
    "guestinfo.netmask", "guestinfo.gateway", "guestinfo.dns", "guestinfo.dns.*", "guestinfo.ntp",
    "guestinfo.interface.*", "guestinfo.afterburn.initrd.network-kargs",
)  # fmt: skip
# Keys and certificates, hashes of passwords (crypt(5)), and long base64: not paths, nor uuids.
_SECRET_VALUE = re.compile(
    r"-----BEGIN|\$(?:1|5|6|y|gy|2[aby]|argon2\w+)\$"
    r"|(?<![\w+/-])[A-Za-z0-9+][A-Za-z0-9+/]{47,}"
)
_VOLATILE = (
    "nvram", "*ctkenabled", "migrate.*", "vmotion.*", "*.derivedname", "viv.*", "vc.uuid",
    "uuid.*", "extendedconfigfile", "vmxstats.filename", "numa.autosize.*", "cleanshutdown",
    "softpoweroff", "monitor.phys_bits_used", "guestinfo.vmtools.*", "guestinfo.appinfo",
    "guestos.detailed.data", "vmware.tools.*", "toolsinstallmanager.*", "tools.remindinstall",
    "replay.*", "*.redo", "*.generatedaddress*", "sched.swap.*", "vdisk.lifecycle.*",
)  # fmt: skip
# Of devices: what vSphere makes up, or what tells of one moment only.
VOLATILE_FIELDS = (
    "changeId", "contentId", "parent", "deltaDiskFormat", "deltaGrainSize", "digestEnabled",
    "deltaDiskFormatVariant", "backingObjectId", "slotInfo", "status", "diskObjectId",
    "vDiskVersion", "device", "externalId", "uptCompatibilityEnabled",
)  # fmt: skip


def is_secret(name: str, value: str) -> bool:
    """By its name or by its value, rather too often than too seldom."""
    return _matches(name, _SECRET) or _SECRET_VALUE.search(value) is not None


def split_options(options: t.Iterable[t.Any]) -> tuple[dict[str, str], list[str]]:
    """extraConfig as it is recorded, and the names of those that are kept out as secrets."""
    kept, secret = {}, []
    for option in options:
        name, value = str(option.key), str(option.value)
        if _matches(name, _VOLATILE):
            continue
        if is_secret(name, value) or _is_for_the_guest(name):
            secret.append(name)
        else:
            kept[name] = value
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


def _is_for_the_guest(name: str) -> bool:
    return name.lower().startswith(_GUESTINFO) and not _matches(name, _HARMLESS)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns)
