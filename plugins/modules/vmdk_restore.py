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
  - Makes O(dest) a disk with the content that the restore point holds. Every chunk is proven by its
    id on the way, so no wrong byte is written; O(verify) proves that the storage has kept them.
  - If O(dest) exists, the contents are compared, and nothing is written when they are equal.
  - A new disk is built under a temporary name and renamed when it is complete, so a killed job
    leaves no half disk, and a disk that is replaced stays whole until then.
requirements:
  - zstandard, blake3 and cryptography (Python libraries on the host that runs the module)
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
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
    required: true
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
  delta:
    description:
      - Write to the O(dest) that is there, and only the chunks in which it differs from the restore
        point; only those are fetched from the repository. O(dest) is read to know. That is the
        quickest way where little differs, and needs no room for a second disk.
      - A restore that is interrupted then leaves a mixture of old and new content; run it again to
        complete it. Without V(true), the disk that was there stays whole until the new one is.
      - O(dest) keeps its files, type, redo logs and metadata. It is refused while others depend on
        it, as redo logs or linked clones of it do, or have it open or mounted.
      - Where O(dest) does not exist, has another size, is not of O(disk_type), or is
        C(streamOptimized), it is made anew as without this option.
    type: bool
    default: false
  verify:
    description:
      - Read the restored disk again and compare it with the restore point, byte for byte.
    type: bool
    default: false
  force:
    description:
      - Replace O(dest), or with O(delta) overwrite it, if it exists and differs. Without this, that
        is an error.
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

- name: The same, writing only what has changed since, into the disk that is there
  vdisk.lifecycle.vmdk_restore:
    restore_point: web01@before-upgrade
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    dest: /srv/vm/web01.vmdk
    delta: true
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
  returned: when a disk is made; not with O(delta) into one that is there
  type: int
  sample: 1645215744
transfer:
  description: What the restore cost, in bytes and seconds. With O(delta), C(bytes_read) is what was
    compared, and C(bytes_reused) what did not have to be written.
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
    return plan_restore(request, delta=params["delta"])


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **COPY_SPEC,
            "restore_point": {"type": "str", "required": True},
            "delta": {"type": "bool", "default": False},
            **REQUIRED_REPOSITORY_SPEC,
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
