#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_shrink
short_description: Give the unused space of a VMDK back to the host
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Finds what a disk stores although it holds only zeros, and stops storing it. The size that the
    guest sees stays; see M(vdisk.lifecycle.vmdk_resize) for that.
  - Sparse files are laid anew, with their grains in order, so that one call does what
    defragmenting and shrinking do. Flat files get holes. V(streamOptimized) disks store no zeros.
    Redo logs of ESXi (V(vmfsSparse), V(seSparse)) stay as they are.
  - The content stays, and so do CID, uuid and descriptor; therefore a parent can be shrunk while
    children need it. In a child, zeros are marked as such and never show the parent; like VMware,
    this makes its header one of version 2, which VirtualBox does not open.
  - With O(trim=true), the free space of the file systems inside becomes zeros first.
  - Each sparse file is built anew beside the old one and renamed over it, so a job killed at any
    moment leaves the old file or the new one. There must be space for the largest new file; it is
    checked before it is written.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk. The name must end in C(.vmdk). Nobody else may have it open.
      - V([datastore1] web01/web01.vmdk) is a managed disk. If it is V(thin), vSphere gives back
        what holds only zeros, where the server can do that; a virtual machine that has it attached
        must be off. Disks of other types keep their space.
    type: str
    required: true
  trim:
    description:
      - Mount the volumes of the disk and have the kernel discard what is free on them (C(fstrim)).
        Then the CID changes, as it does whenever a guest runs; a disk that has children is refused.
      - It is first tried out beside the disk, which is written to only if there is at least 1 MiB
        to be had.
      - Volumes whose free space the host cannot tell (swap, LVM, encrypted ones) stay as they are;
        RV(volumes) says which, and why.
      - Not for managed disks.
      - Needs root, C(fuse3) and the Python library C(mfusepy) on the host.
    type: bool
    default: false
seealso:
  - module: vdisk.lifecycle.vmdk_defragment
"""

EXAMPLES = r"""
- name: Give back the zeros of a disk
  vdisk.lifecycle.vmdk_shrink:
    path: /srv/vm/web01.vmdk

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: Give back the zeros of a thin disk on a datastore
  vdisk.lifecycle.vmdk_shrink:
    path: "[datastore1] archive/golden.vmdk"

- name: Give back what is free on its file systems, too
  vdisk.lifecycle.vmdk_shrink:
    path: /srv/vm/web01.vmdk
    trim: true
"""

RETURN = r"""
disk:
  description: The disk, as M(vdisk.lifecycle.vmdk_info) describes it.
  returned: success
  type: dict
  sample:
    path: /srv/vm/web01.vmdk
    disk_type: monolithicSparse
    size: 10737418240
freed:
  description: Bytes that the files of the disk are smaller, or take less. In check mode, a
    forecast, which there is none of for a managed disk (null).
  returned: success
  type: int
  sample: 734003200
volumes:
  description: What became of each volume of the disk. In check mode, what would.
  returned: with O(trim=true)
  type: list
  elements: dict
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
    trimmed:
      description: Whether its free space could be given back.
      type: bool
      sample: true
    reason:
      description: Why it could not; null if it could.
      type: str
      sample: null
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.compact_disk import plan_shrink
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import CompactRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    request = CompactRequest(
        path=module.disk_name("path"),
        trim=module.params["trim"],
        access=module.access,
        progress=module.progress,
    )
    return plan_shrink(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "trim": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
