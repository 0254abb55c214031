#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_convert
short_description: Make a VMDK be of another type, in place
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes the disk at O(path) be of O(disk_type). Its content, uuid, adapter type and data base stay
    as they are.
  - The disk in its new form is built beside the old one, which stays whole until the new one is
    complete and durable; so there must be space for both. A job killed at any moment leaves the old
    disk or the new one.
  - A managed disk of vSphere is copied by vSphere. The copy has the name of the disk with
    C(.vdisk-new) in it, and then takes the place of the old one, which has C(.vdisk-old) in its
    name until it is deleted. Its uuid and its content stay; its content id and the rest of the data
    base are vSphere's choice. Run the task again after a job that was killed, to finish it.
  - Some versions of vCenter do not change the type while they copy. Then the message says what else
    can be done; only to V(eagerZeroedThick) the disk is converted in place. It counts as V(thick)
    afterwards, which a warning says, because we never write to the descriptor of a disk in its
    place; and so the next run zeroes it again.
  - A disk with a parent becomes one without. A disk that other disks need as their parent is not
    converted.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
attributes:
  idempotent:
    support: partial
    details:
      - A managed disk that was converted to V(eagerZeroedThick) in place is zeroed again each time.
options:
  path:
    description:
      - The disk. The name must end in C(.vmdk).
      - V([datastore1] web01/web01.vmdk) is a managed disk. It is not converted while a virtual
        machine has it attached, nor where it is the file of a first-class disk.
    type: str
    required: true
  disk_type:
    description:
      - The type that the disk shall have. See M(vdisk.lifecycle.vmdk_create) for what they are.
      - The place where the disk goes decides. ESXi runs V(vmfs) disks, and imports
        V(streamOptimized) ones. A sparse or split disk on a datastore of ESXi cannot be run there,
        and the host says C(Object type requires hosted I/O) or worse. Those are for Workstation,
        VirtualBox and qemu.
      - A managed disk can be V(thin), V(thick) or V(eagerZeroedThick).
    type: str
    required: true
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
  compression_level:
    description:
      - How hard to compress a V(streamOptimized) disk, from V(0) (not at all) to V(9) (smallest,
        slowest).
      - If you do not say, it is as fast as the libraries on the host allow.
    type: int
seealso:
  - module: vdisk.lifecycle.vmdk_clone
"""

EXAMPLES = r"""
- name: Compress a disk for transport
  vdisk.lifecycle.vmdk_convert:
    path: /srv/export/web01.vmdk
    disk_type: streamOptimized
    compression_level: 6

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: Let a managed disk take only the space that it needs
  vdisk.lifecycle.vmdk_convert:
    path: "[datastore1] archive/golden.vmdk"
    disk_type: thin

- name: Make it writable again
  vdisk.lifecycle.vmdk_convert:
    path: /srv/export/web01.vmdk
    disk_type: monolithicSparse
"""

RETURN = r"""
disk:
  description: The disk, as M(vdisk.lifecycle.vmdk_info) describes it. In check mode, what is known
    before it is converted.
  returned: success
  type: dict
  sample:
    path: /srv/export/web01.vmdk
    disk_type: streamOptimized
    size: 10737418240
transfer:
  description: What the conversion cost, in bytes and seconds.
  returned: when the disk was converted
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

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.convert_disk import plan_convert
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import ConvertRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.spec import MANAGED_TYPES
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CREATABLE_TYPES,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = ConvertRequest(
        path=module.disk_name("path"),
        disk_type=params["disk_type"],
        compression_level=params["compression_level"],
        access=module.access,
        progress=module.progress,
    )
    return plan_convert(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "disk_type": {
                "type": "str",
                "required": True,
                "choices": [*CREATABLE_TYPES, *MANAGED_TYPES],
            },
            "compression_level": {"type": "int"},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
