#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_defragment
short_description: Put the grains of a VMDK in order
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - A sparse disk stores its content in grains, in the order in which the guest first wrote them.
    This lays them in the order of the disk, with all tables in front, in a file as short as can be.
    Reading the disk from front to back then reads its files from front to back.
  - Content, CID, uuid and descriptor stay, and so do grains that hold only zeros. Parents and
    children of the disk do not notice. To give back zeros, use M(vdisk.lifecycle.vmdk_shrink); it
    puts grains in order as well.
  - Each file is built anew beside the old one and renamed over it, so a job killed at any moment
    leaves the old file or the new one. There must be space for the largest file of the disk; it is
    checked before anything is written.
  - Flat disks and V(streamOptimized) ones are always in order. Redo logs of ESXi (V(vmfsSparse),
    V(seSparse)) stay as they are.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk. The name must end in C(.vmdk). Nobody else may have it open.
      - V([datastore1] web01/web01.vmdk) is a managed disk. V(thin) and V(thick) ones are always in
        order. Others are left to vSphere, if its server can do that; a virtual machine that has
        such a disk attached must be off.
    type: str
    required: true
  links:
    description:
      - Of managed disks, vSphere takes the one at O(path) only.
      - With V(leaf) only the disk at O(path) is put in order, with V(all) each of its parents, too.
    type: str
    choices:
      - leaf
      - all
    default: leaf
seealso:
  - module: vdisk.lifecycle.vmdk_shrink
"""

EXAMPLES = r"""
- name: Put a disk in order
  vdisk.lifecycle.vmdk_defragment:
    path: /srv/vm/web01.vmdk

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: Have vSphere put a disk in order
  vdisk.lifecycle.vmdk_defragment:
    path: "[datastore1] archive/golden.vmdk"

- name: Put a redo log and all disks below it in order
  vdisk.lifecycle.vmdk_defragment:
    path: /srv/vm/web01-000002.vmdk
    links: all
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
fragmentation:
  description: How the grains lay before, and how they lie now. In check mode, how they would lie.
  returned: success
  type: dict
  contains:
    before:
      description: Before the module ran.
      type: dict
      contains:
        grains:
          description: Grains that the files store.
          type: int
          sample: 24500
        fragments:
          description: Runs of grains that are neighbours in the disk and in its files. Of a disk in
            order, each file that stores anything has one.
          type: int
          sample: 3107
        file_size:
          description: Bytes of the files.
          type: int
          sample: 1609170944
        percent:
          description: What vSphere says how much of a managed disk is out of place. It tells no
            grains and no fragments; those are null.
          returned: for managed disks
          type: int
          sample: 7
    after:
      description: The same, after it has run.
      type: dict
      sample:
        grains: 24500
        fragments: 1
        file_size: 1608187904
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.compact_disk import (
    plan_defragment,
)
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
        all_links=module.params["links"] == "all",
        access=module.access,
        progress=module.progress,
    )
    return plan_defragment(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "links": {"type": "str", "choices": ["leaf", "all"], "default": "leaf"},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
