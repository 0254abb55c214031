#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_backup
short_description: Back up a disk to a repository
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes a restore point of the disk at O(path) in O(repository). Only chunks that the repository
    does not have yet are stored, compressed and encrypted; every restore point is complete in
    itself.
  - The restore point appears when everything it needs is stored and durable, never before; a killed
    job leaves none.
  - The disk must not be written to meanwhile. It is locked, but a virtual machine of another
    product may not respect that.
requirements:
  - zstandard, blake3 and cryptography (Python libraries on the host that runs the module)
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
options:
  path:
    description:
      - The disk, as a disk reference. C(/srv/vm/web01.vmdk) is a VMDK with its whole chain;
        C(/srv/vm/web01.img) and C(/dev/sdb) are raw.
    type: str
    required: true
  repository:
    description:
      - Path of the backup repository, as made with M(vdisk.lifecycle.vmdk_repository).
    type: str
    required: true
  passphrase:
    description:
      - Passphrase of an encrypted repository.
      - If not given, the environment variable E(VDISK_PASSPHRASE) of the host that runs the module
        is used.
    type: str
  name:
    description:
      - A name for the restore point, unique among those of this disk. If the disk has a restore
        point of that name already, nothing is done.
      - The disk itself goes by the name of its file without C(.vmdk). So with V(before-upgrade),
        the restore point of C(/srv/vm/web01.vmdk) is C(web01@before-upgrade).
    type: str
  max_age:
    description:
      - Do nothing if the disk has a restore point younger than this, such as V(12h), V(7d) or
        V(90m).
    type: str
  mode:
    description:
      - V(incremental) builds on the newest restore point of the disk, V(full) does not look at it.
        The result is the same, a complete restore point. V(auto) is incremental where it can be.
    type: str
    choices:
      - auto
      - full
      - incremental
    default: auto
notes:
  - With neither O(name) nor O(max_age), a restore point is made if the content differs from that of
    the newest one. To know, the disk is read, in check mode too.
seealso:
  - module: vdisk.lifecycle.vmdk_repository
  - module: vdisk.lifecycle.vmdk_restore
"""

EXAMPLES = r"""
- name: Back up a disk before it is touched
  vdisk.lifecycle.vmdk_backup:
    path: /srv/vm/web01.vmdk
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    name: before-upgrade

- name: At most one restore point every twelve hours, however often this runs
  vdisk.lifecycle.vmdk_backup:
    path: /srv/vm/web01.vmdk
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    max_age: 12h
"""

RETURN = r"""
restore_point:
  description: The restore point that was made, or the one because of which nothing was done.
  returned: when there is one; not in check mode if it would be made
  type: dict
  sample:
    id: 20261122T020000Z-3f9a2c1b
    name: before-upgrade
    created: "2026-11-22T02:00:00Z"
    source: {kind: disk, name: web01, path: /srv/vm/web01.vmdk}
    disks:
      - key: 0
        name: disk0
        label: web01
        size: 10737418240
        method: incremental
        reason: builds on 20261121T020000Z-77ab01c9
        bytes_read: 1605632000
        bytes_new: 20971520
        digest_id: blake3:5d0c6f2f5a94e7c1
    size: 10737418240
    unique: 20971520
    repository: /srv/backup
transfer:
  description: What the backup cost, in bytes and seconds.
  returned: when a restore point was made
  type: dict
  sample:
    bytes_total: 10737418240
    bytes_read: 1605632000
    bytes_written: 9437184
    bytes_zero: 9131786240
    bytes_reused: 1584660480
    seconds: 2.114
    rate: 5079194058
    transport: file
    transport_reason: local file
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_age
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.backup_disk import (
    BackupRequest,
    plan_backup,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REQUIRED_REPOSITORY_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = BackupRequest(
        path=params["path"],
        name=params["name"],
        max_age=None if params["max_age"] is None else parse_age(params["max_age"], "max_age"),
        mode=params["mode"],
        access=module.access,
        progress=module.progress,
    )
    return plan_backup(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            "path": {"type": "str", "required": True},
            **REQUIRED_REPOSITORY_SPEC,
            "name": {"type": "str"},
            "max_age": {"type": "str"},
            "mode": {
                "type": "str",
                "choices": ["auto", "full", "incremental"],
                "default": "auto",
            },
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
