#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_clone
short_description: Copy any disk to any disk
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes O(dest) a disk with the content of O(src), of any type. The copy does not depend on the
    source, whatever chain of parents that has; with O(linked=true) it is a child that stores only
    what changes.
  - If O(dest) exists, the contents are compared, and nothing is written when they are equal.
  - A new disk is built under a temporary name and renamed when it is complete, so a killed job
    leaves no half disk, and a disk that is replaced stays whole until then.
  - Between two managed disks of a vCenter, vSphere copies by itself. To and from a host, what is in
    the disk goes through the vCenter over HTTPS. From one vCenter to another, clone to a file on
    the host, and from there with the options of the other.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  src:
    description:
      - The disk to copy, as a disk reference. C(/srv/vm/web01.vmdk) is a VMDK with its whole chain,
        C(/srv/vm/web01.img) and C(/dev/sdb) are raw, C([datastore1] web01/web01.vmdk) is on a
        datastore of vSphere, and C(web01@latest) is a disk in a restore point of O(repository).
      - A managed disk is not copied while a virtual machine that runs has it. To a host, it is
        copied where it is a plain file (on VMFS or NFS, and no redo log of a snapshot).
    type: str
    required: true
  dest:
    description:
      - The disk to make. A name that ends in C(.vmdk) becomes a VMDK, any other name a raw file; a
        block device is written to.
      - V([datastore1] web01/web01.vmdk) becomes a managed disk; folders that are missing there are
        made. It is not replaced while a virtual machine has it attached.
      - Where vSphere alone can read the contents (redo logs of snapshots, disks on vSAN and vVols),
        they are not compared; a copy that we have made is known again as long as neither it nor
        O(src) was written to.
    type: str
    required: true
  disk_type:
    description:
      - The type of O(dest), if it is a VMDK. See M(vdisk.lifecycle.vmdk_create) for what they are.
      - If you do not say, the type is that of O(src), or V(monolithicSparse) where that has none.
      - A managed disk is of the type of O(src) where that is managed, too, else V(thick). Any other
        type takes one more copy within vSphere, and a vCenter or ESXi host that can change the type
        while it copies. The content is sent whole, zeros as well.
      - With O(linked=true), only the V(monolithicSparse) and V(twoGbMaxExtentSparse) types can be
        made.
    type: str
    choices:
      - monolithicSparse
      - monolithicFlat
      - twoGbMaxExtentSparse
      - twoGbMaxExtentFlat
      - vmfs
      - streamOptimized
      - thin
      - thick
      - eagerZeroedThick
  linked:
    description:
      - Make O(dest) a child of O(src), which must be a VMDK. The source must not be changed, moved
        or deleted from then on.
    type: bool
    default: false
  verify:
    description:
      - Read the copy again and compare it with the source, byte for byte.
      - What vSphere alone can read (redo logs of snapshots, disks on vSAN and vVols) cannot be
        verified, which is an error before anything is copied.
    type: bool
    default: false
  force:
    description:
      - Replace O(dest) if it exists and differs. Without this, that is an error.
    type: bool
    default: false
seealso:
  - module: vdisk.lifecycle.vmdk_convert
"""

EXAMPLES = r"""
- name: A compressed copy for the archive
  vdisk.lifecycle.vmdk_clone:
    src: /srv/vm/web01.vmdk
    dest: /srv/archive/web01.vmdk
    disk_type: streamOptimized
    verify: true

- name: A raw image of a chain of snapshots
  vdisk.lifecycle.vmdk_clone:
    src: /srv/vm/web01-000002.vmdk
    dest: /srv/images/web01.img

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: A managed disk as a file of this host
  vdisk.lifecycle.vmdk_clone:
    src: "[datastore1] files01/files01.vmdk"
    dest: /srv/archive/files01.vmdk

- name: And a file of this host as a managed disk
  vdisk.lifecycle.vmdk_clone:
    src: /srv/vm/web01.vmdk
    dest: "[datastore1] web09/web09.vmdk"
    verify: true

- name: Three test machines on top of one golden disk
  vdisk.lifecycle.vmdk_clone:
    src: /srv/vm/golden.vmdk
    dest: /srv/vm/{{ item }}.vmdk
    linked: true
  loop: [test1, test2, test3]
"""

RETURN = r"""
disk:
  description: The copy, as M(vdisk.lifecycle.vmdk_info) describes it. In check mode, what is known
    before it is made.
  returned: success
  type: dict
  sample:
    path: /srv/archive/web01.vmdk
    disk_type: streamOptimized
    size: 10737418240
space_needed:
  description: Bytes that the files of O(dest) take at most, by what the source says it holds,
    without what the file system needs for itself. Check mode tells it beforehand.
  returned: when something is copied
  type: int
  sample: 1645215744
transfer:
  description: What the copy cost, in bytes and seconds.
  returned: when something was copied
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

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.copy_disk import plan_copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.link_disk import plan_linked
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import CopyRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.spec import MANAGED_TYPES
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    COPY_SPEC,
    REPOSITORY_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CREATABLE_TYPES,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = CopyRequest(
        src=params["src"],
        dest=params["dest"],
        disk_type=params["disk_type"],
        force=params["force"],
        verify=params["verify"],
        access=module.access,
        progress=module.progress,
    )
    return plan_linked(request) if params["linked"] else plan_copy(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            **COPY_SPEC,
            **VSPHERE_SPEC,
            "src": {"type": "str", "required": True},
            "disk_type": {"type": "str", "choices": [*CREATABLE_TYPES, *MANAGED_TYPES]},
            "linked": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
