#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_mount
short_description: Use a volume of a disk as a directory
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Mounts a file system inside a disk. The disk may be a VMDK of any type, a raw file, a block
    device, or lie in a restore point, which is not restored for that.
  - Flat disks go through a loop device; anything else is served by a small process as a file (FUSE)
    and goes through a loop device then. The process runs until the volume is unmounted.
  - Unmounting leaves no process, loop device or directory behind. What a killed job or a crashed
    process left is cleaned up by the next run of this module.
  - Mounting a file system means that the kernel of this host parses it. Do not mount disks of
    strangers on a host that matters.
requirements:
  - root, and loop devices
  - mfusepy (Python library) and C(fuse3) on the host that runs the module, but for flat disks and
    block devices
  - C(ntfs-3g) for NTFS and C(fusefat) for FAT, where the kernel has no driver
  - zstandard, blake3 and cryptography (Python libraries), but only for restore points
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
options:
  path:
    description:
      - The disk, as a disk reference. C(/srv/vm/web01.vmdk) is a VMDK with its whole chain,
        C(/srv/vm/web01.img) and C(/dev/sdb) are raw, and C(web01@latest) is a disk in a restore
        point of O(repository).
      - Needed with O(state=mounted).
    type: str
  mount_point:
    description:
      - The directory. It is made if it is missing, and removed again when it is unmounted if it was
        made so.
    type: path
    required: true
  volume:
    description:
      - Which volume, by its number, label or uuid; see
        RV(vdisk.lifecycle.vmdk_info#module:disk.partitions).
      - Needed if the disk has more than one that can be mounted.
    type: str
  read_only:
    description:
      - Mount without any right to write. Not one byte of the disk changes then, not even to replay
        a journal.
      - Writes to a restore point never change it; they are kept beside it and forgotten when it is
        unmounted.
    type: bool
    default: true
  state:
    description:
      - V(mounted) mounts the volume, V(unmounted) unmounts what is mounted at O(mount_point).
    type: str
    choices:
      - mounted
      - unmounted
    default: mounted
seealso:
  - module: vdisk.lifecycle.vmdk_info
  - module: vdisk.lifecycle.vmdk_restore
"""

EXAMPLES = r"""
- name: Look into a disk
  vdisk.lifecycle.vmdk_mount:
    path: /srv/vm/web01.vmdk
    mount_point: /mnt/web01

- name: Get one file back from last night
  vdisk.lifecycle.vmdk_mount:
    path: web01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    volume: root
    mount_point: /mnt/last-night

- name: Copy it
  ansible.builtin.copy:
    src: /mnt/last-night/etc/app.conf
    dest: /tmp/app.conf
    remote_src: true
    mode: "0600"

- name: Done with it
  vdisk.lifecycle.vmdk_mount:
    mount_point: /mnt/last-night
    state: unmounted
"""

RETURN = r"""
mount:
  description: What is mounted. In check mode, what would be.
  returned: when O(state=mounted)
  type: dict
  contains:
    path:
      description: The disk.
      type: str
      sample: web01@latest
    mount_point:
      description: The directory.
      type: str
      sample: /mnt/last-night
    read_only:
      description: Whether nothing can be written.
      type: bool
      sample: true
    volume:
      description: The volume, as in RV(vdisk.lifecycle.vmdk_info#module:disk.partitions).
      type: dict
      sample: {number: 1, type: Linux filesystem, fs: ext4, label: root,
        uuid: 0d8a8f0e-58a6-4b7d-a4b7-0e2f6a1c7d11, start: 1048576, size: 10735304192}
swept:
  description: Mount points of dead mounts that were cleaned up on the way.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.mount_disk import (
    MountJob,
    plan_mounted,
    plan_unmounted,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REPOSITORY_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    if params["state"] == "unmounted":
        return plan_unmounted(params["mount_point"])
    return plan_mounted(
        MountJob(
            path=params["path"],
            mount_point=params["mount_point"],
            volume=params["volume"],
            read_only=params["read_only"],
            access=module.access,
        )
    )


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            **ALLOW_OUTSIDE_SPEC,
            "path": {"type": "str"},
            "mount_point": {"type": "path", "required": True},
            "volume": {"type": "str"},
            "read_only": {"type": "bool", "default": True},
            "state": {
                "type": "str",
                "choices": ["mounted", "unmounted"],
                "default": "mounted",
            },
        },
        required_if=[("state", "mounted", ["path"])],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
