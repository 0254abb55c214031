#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_restore
short_description: Restore a disk from a repository
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes O(dest) a disk with the content that the restore point holds. Every chunk is checked
    against its id on the way.
  - If O(dest) exists, the contents are compared, and nothing is written when they are equal.
  - A new disk is built under a temporary name and renamed when it is complete, so a killed job
    leaves no half disk, and a disk that is replaced stays whole until then.
requirements:
  - zstandard, blake3 and cryptography (Python libraries on the host that runs the module)
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
options:
  restore_point:
    description:
      - What to restore. V(web01@latest) is the newest restore point of the disk C(web01.vmdk),
        V(web01@before-upgrade) the one of that name, V(web01@2026-11-22T02:00:00Z) the one of that
        time. The id of a restore point does as well.
      - If the restore point has several disks, add which one, as in V(web01@latest#scsi0:0).
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
  dest:
    description:
      - The disk to make. A name that ends in C(.vmdk) becomes a VMDK, any other name a raw file; a
        block device is written to.
    type: str
    required: true
  disk_type:
    description:
      - The type of O(dest), if it is a VMDK. See M(vdisk.lifecycle.vmdk_create) for what they are.
      - If you do not say, it is the type that the disk had when it was backed up, or
        V(monolithicSparse) where that had none.
    type: str
    choices:
      - monolithicSparse
      - monolithicFlat
      - twoGbMaxExtentSparse
      - twoGbMaxExtentFlat
      - vmfs
      - streamOptimized
  verify:
    description:
      - Read the restored disk again and compare it with the restore point, byte for byte.
    type: bool
    default: false
  force:
    description:
      - Replace O(dest) if it exists and differs. Without this, that is an error.
    type: bool
    default: false
seealso:
  - module: vdisk.lifecycle.vmdk_backup
  - module: vdisk.lifecycle.vmdk_mount
"""

EXAMPLES = r"""
- name: Bring the disk back to where it was
  vdisk.lifecycle.vmdk_restore:
    restore_point: web01@before-upgrade
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    dest: /srv/vm/web01.vmdk
    force: true

- name: The newest restore point as a file for import into vSphere
  vdisk.lifecycle.vmdk_restore:
    restore_point: web01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    dest: /srv/export/web01.vmdk
    disk_type: streamOptimized
    verify: true
"""

RETURN = r"""
disk:
  description: The disk, as M(vdisk.lifecycle.vmdk_info) describes it. In check mode, what is known
    before it is restored.
  returned: success
  type: dict
  sample:
    path: /srv/vm/web01.vmdk
    disk_type: monolithicSparse
    size: 10737418240
restore_point:
  description: The restore point, as M(vdisk.lifecycle.vmdk_backup) returned it.
  returned: success
  type: dict
  sample:
    id: 20261122T020000Z-3f9a2c1b
    name: before-upgrade
    created: "2026-11-22T02:00:00Z"
space_needed:
  description: Bytes that the files of O(dest) take at most, by what the source says it holds,
    without what the file system needs for itself. Check mode tells it beforehand.
  returned: when something is copied
  type: int
  sample: 1645215744
transfer:
  description: What the restore cost, in bytes and seconds.
  returned: when something was restored
  type: dict
  sample:
    bytes_total: 10737418240
    bytes_read: 1605632000
    bytes_written: 1603993600
    bytes_zero: 9133424640
    bytes_reused: 0
    seconds: 2.114
    rate: 5079194058
    transport: file
    transport_reason: local file
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.copy_disk import CopyRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.restore_disk import plan_restore
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    COPY_SPEC,
    REQUIRED_REPOSITORY_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = CopyRequest(
        src=params["restore_point"],
        dest=params["dest"],
        disk_type=params["disk_type"],
        force=params["force"],
        verify=params["verify"],
        access=module.access,
        progress=module.progress,
    )
    return plan_restore(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **COPY_SPEC,
            "restore_point": {"type": "str", "required": True},
            **REQUIRED_REPOSITORY_SPEC,
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
