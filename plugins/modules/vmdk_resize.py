#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_resize
short_description: Make a VMDK larger, and what is in it
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes the disk at O(path) as large as O(size) says. What is new reads as zeros. A disk is never
    made smaller.
  - With O(grow_partition), a partition and its file system then grow to the end of the disk.
    A GPT gets its backup at the new end; partitions of an MBR end at 2 TiB.
  - The steps come in this order, disk, partition table, file system, and each can be repeated. When
    a job is killed, run it again, and it goes on where it was.
  - Children, and disks that have children, are not resized.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk. The name must end in C(.vmdk). Nobody else may have it open.
      - V([datastore1] web01/web01.vmdk) is a managed disk, and V([datastore1] fcd:data) a
        first-class one. It is not resized while a virtual machine has it attached.
    type: str
    required: true
  size:
    description:
      - Capacity that the disk shall have, such as V(20GiB), V(512MiB) or a number of bytes; a
        multiple of 512 bytes. Less than it has is an error.
      - All units are powers of 1024, V(GB) and V(GiB) alike, as in VMware's tools.
    type: str
    required: true
  grow_partition:
    description:
      - V(true) grows the last partition of the disk and its file system. The number of a partition,
        or the label or UUID of a file system, says which one is meant; it must be the last one all
        the same, as nothing is moved. V(false) leaves what is in the disk as it is.
      - The file systems ext2, ext3, ext4, xfs and btrfs grow, in a partition of a GPT, in a primary
        or logical one of an MBR, or without partitions. For anything else (swap, LVM, LUKS, NTFS),
        and where something lies behind the partition, the task fails before it changes anything,
        and says what to do by hand.
      - Nothing is grown within a managed disk; the task fails before it changes anything.
      - Needs root, C(fuse3), the Python library C(mfusepy), and the tools of the file system
        (C(e2fsprogs), C(xfsprogs) or C(btrfs-progs)) on the host.
    type: str
    default: "false"
seealso:
  - module: vdisk.lifecycle.vmdk_create
  - module: vdisk.lifecycle.vmdk_shrink
"""

EXAMPLES = r"""
- name: Make a disk larger
  vdisk.lifecycle.vmdk_resize:
    path: /srv/vm/web01.vmdk
    size: 20GiB

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: Make a managed disk larger
  vdisk.lifecycle.vmdk_resize:
    path: "[datastore1] archive/golden.vmdk"
    size: 1GiB

- name: Make it larger still, with the file system on its last partition
  vdisk.lifecycle.vmdk_resize:
    path: /srv/vm/web01.vmdk
    size: 40GiB
    grow_partition: true
"""

RETURN = r"""
disk:
  description: The disk, as M(vdisk.lifecycle.vmdk_info) describes it. In check mode, with the size
    that it would have.
  returned: success
  type: dict
  sample:
    path: /srv/vm/web01.vmdk
    disk_type: monolithicSparse
    size: 21474836480
volume:
  description: What became of the volume. In check mode, what would.
  returned: with O(grow_partition)
  type: dict
  contains:
    number:
      description: Number of the partition; 0 is a disk without partitions.
      type: int
      sample: 1
    fs:
      description: What it holds.
      type: str
      sample: ext4
    label:
      description: Its label, if it has one.
      type: str
      sample: root
    uuid:
      description: Its UUID, if it has one.
      type: str
      sample: 0d740516-cd23-4bc3-996c-16cf9260c0e8
    partition:
      description: Bytes of the partition, C(before) and C(after).
      type: dict
      sample:
        before: 10735321088
        after: 21472739328
    filesystem:
      description: Bytes that the file system covers, C(before) and C(after).
      type: dict
      sample:
        before: 10735321088
        after: 21472739328
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_size
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import ResizeRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.resize_disk import plan_resize
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)

YES = ("true", "yes", "on")
NO = ("false", "no", "off", "")


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    which = module.params["grow_partition"]
    request = ResizeRequest(
        path=module.disk_name("path"),
        size=parse_size(module.params["size"], "size"),
        grow=which.lower() not in NO,
        volume=None if which.lower() in (*YES, *NO) else which,
        access=module.access,
        progress=module.progress,
    )
    return plan_resize(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "size": {"type": "str", "required": True},
            "grow_partition": {"type": "str", "default": "false"},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
