# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vmdk_images
short_description: Disks as hosts
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes a host of each disk in some folders, or of the newest good restore point of each disk and
    virtual machine in a repository. Groups are made of what is known of them.
  - Each host is set up for P(vdisk.lifecycle.vmdk_root#connection). Its root has to be mounted
    before tasks can run in there, with M(vdisk.lifecycle.vmdk_mount) and C(delegate_to), at
    C(ansible_host).
  - A disk that cannot be opened is a warning, and no host.
  - The file name ends with C(vmdk_images.yml) or C(vmdk_images.yaml).
notes:
  - Variables of a host are C(vmdk_path) (the disk reference), C(vmdk_disk_type), C(vmdk_size),
    C(vmdk_partitions) (as of M(vdisk.lifecycle.vmdk_info)), C(vmdk_file_systems) and
    C(vmdk_labels). A disk in files also has C(vmdk_allocated) and, as a VMDK, C(vmdk_adapter_type),
    C(vmdk_hw_version), C(vmdk_uuid) and C(vmdk_flags).
    One in a repository has C(vmdk_disks), the references of all of its disks, and
    C(vmdk_restore_point), as M(vdisk.lifecycle.vmdk_backup_info) has it.
  - C(ansible_connection), C(ansible_host) and C(ansible_remote_tmp) that an inventory read before
    this one gives to a host stay as they are there.
  - With O(facts), C(vmdk_guest) tells which system is on it, as
    RV(vdisk.lifecycle.vmdk_mount#module:guest) without its long lists. It is V(null) where nobody
    can tell.
  - Extents, and disks that are parents of others that were found, are no hosts. Neither are links
    to files in other folders.
  - A host has the name of its file without the suffix, or of its source in the repository. Where
    several have the same, or it is one like V(localhost), it is the path with V(_) between its
    folders, or the id of the source. What is no letter, digit, V(.) or V(-) becomes V(_).
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
requirements:
  - zstandard, blake3 and cryptography (Python libraries), but only for a repository
options:
  plugin:
    description: Names this plugin.
    type: str
    required: true
    choices: [vdisk.lifecycle.vmdk_images]
  paths:
    description:
      - Patterns of the files of disks on the controller, as C(/srv/vm/*/*.vmdk). C(**) is any
        number of folders.
    type: list
    elements: str
    default: []
  repository:
    description: Path or URL of a repository.
    type: str
  passphrase:
    description: The passphrase of an encrypted repository.
    type: str
    env:
      - name: VDISK_PASSPHRASE
  key_file:
    description: A file on the controller that opens an encrypted repository.
    type: path
    env:
      - name: VDISK_KEY_FILE
  facts:
    description:
      - Mount each disk for a moment, read-only, to tell what system is on it. That needs root and
        what M(vdisk.lifecycle.vmdk_mount) needs, and takes about a second for each.
      - The kernel of the controller parses the file systems of all those disks then.
    type: bool
    default: false
  mount_root:
    description: The folder in which C(ansible_host) of each host is, by the name of the host.
    type: path
    default: /mnt
"""

EXAMPLES = r"""
# golden.vmdk_images.yml
plugin: vdisk.lifecycle.vmdk_images
paths:
  - /srv/vm/*/*.vmdk
facts: true
keyed_groups:
  - key: vmdk_guest.id | default('unknown', true)
    prefix: os
  - key: vmdk_file_systems
    prefix: fs
groups:
  small: vmdk_size < 20 * 2**30
compose:
  web: inventory_hostname is match('web')

---
# last-night.vmdk_images.yml: what could be restored, as hosts
plugin: vdisk.lifecycle.vmdk_images
repository: /srv/backup
mount_root: /mnt/last-night
compose:
  taken: vmdk_restore_point.created
"""

import os
import typing as t

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.list_disks import (
    disks_in_files,
    disks_in_points,
    guest_of,
)

Disks = dict[str, dict[str, t.Any]]

_SUFFIXES = ("vmdk_images.yml", "vmdk_images.yaml")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Looks at disks, or at what the cache says of them; then it is all variables."""

    NAME = "vdisk.lifecycle.vmdk_images"

    def verify_file(self, path: str) -> bool:
        """By the end of its name."""
        return bool(super().verify_file(path)) and path.endswith(_SUFFIXES)

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Add the hosts of one file."""
        super().parse(inventory, loader, path, cache=cache)
        self._read_config_data(path)
        for name, disk in self._cached(path, cache).items():
            self._add(name, disk)

    def _cached(self, path: str, cache: bool) -> Disks:
        if not self.get_option("cache"):
            return self._look()
        key = self.get_cache_key(path)
        if cache and key in self._cache:
            kept: Disks = self._cache[key]
            return kept
        self._cache[key] = found = self._look()
        return found

    def _look(self) -> Disks:
        names = ("repository", "passphrase", "key_file")
        access = Access(**{name: self.get_option(name) for name in names})
        patterns = [os.path.expanduser(pattern) for pattern in self.get_option("paths")]
        if not patterns and access.repository is None:
            raise AnsibleParserError("vmdk_images: neither paths nor repository is given")
        if patterns and access.repository is not None:
            raise AnsibleParserError("vmdk_images: paths and repository need a file each")
        found = self._found(patterns, access)
        if self.get_option("facts"):
            for name, disk in found.items():
                disk["guest"] = self._guest(name, disk, access)
        return found

    def _found(self, patterns: list[str], access: Access) -> Disks:
        if access.repository is None:
            return disks_in_files(patterns, access, self._warn)
        try:
            return disks_in_points(access, self._warn)
        except DiskError as error:
            raise AnsibleParserError(str(error)) from error

    def _guest(self, name: str, disk: dict[str, t.Any], access: Access) -> dict[str, t.Any] | None:
        try:
            return guest_of(disk, access)
        except DiskError as error:
            self._warn(f"{name}: nobody can tell what system it is: {error}")
            return None

    def _warn(self, text: str) -> None:
        self.display.warning(f"vmdk_images: {text}")

    def _add(self, name: str, disk: dict[str, t.Any]) -> None:
        variables = {
            **{f"vmdk_{key}": value for key, value in disk.items()},
            "ansible_connection": "vdisk.lifecycle.vmdk_root",
            "ansible_host": os.path.join(self.get_option("mount_root"), name),
            "ansible_remote_tmp": "/tmp",
        }
        inventory: t.Any = self.inventory
        inventory.add_host(name)
        theirs = set(inventory.get_host(name).vars)  # of inventories that were read before
        for key, value in variables.items():
            if key.startswith("vmdk_") or key not in theirs:
                inventory.set_variable(name, key, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict)
