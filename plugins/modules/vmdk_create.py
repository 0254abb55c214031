#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_create
short_description: Create, grow or delete a VMDK disk
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes sure that a VMDK disk of the wanted size exists. A disk that is smaller is grown, one that
    is larger is never shrunk.
  - A new disk is built under a temporary name and renamed when it is complete, so a killed job
    leaves no half disk.
  - The disk may be one of vSphere as well, named as V([datastore1] web01/web01.vmdk). vSphere then
    makes, grows and deletes it.
  - A disk in files needs nothing but Python on the host.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk. The name must end in C(.vmdk).
      - V([datastore1] web01/web01.vmdk) is a managed disk, on a datastore of vSphere. Folders that
        are missing there are made; those of a host must exist. A managed disk that a virtual
        machine has attached, or that others stand on, is neither grown nor deleted, nor is the file
        of a first-class disk.
      - V([datastore1] fcd:data) is a first-class disk of vCenter, which has a name and an id
        instead of a path. Either may stand behind C(fcd:).
      - Its extents are put beside it, with the names that VMware gives them (C(-flat.vmdk),
        C(-s001.vmdk), C(-f001.vmdk)).
    type: str
    required: true
  size:
    description:
      - Capacity of the disk, such as V(10GiB), V(512MiB) or a number of bytes; a multiple of 512
        bytes.
      - Needed to create a disk. A larger size than the disk has grows it, a smaller one is an
        error.
      - All units are powers of 1024, V(GB) and V(GiB) alike, as in VMware's tools.
    type: str
  disk_type:
    description:
      - How the disk is laid out in files, by the name that VMware gives it (C(createType)).
      - V(monolithicSparse) is one file that grows with its content; V(monolithicFlat) and V(vmfs)
        are a descriptor and one file of the full size; the V(twoGb*) types split either into files
        of 2 GiB at most; V(streamOptimized) is compressed, made for transport, and cannot be
        written to once made.
      - A new disk is V(monolithicSparse) if you do not say otherwise. If the disk exists and is of
        another type, this is an error; see M(vdisk.lifecycle.vmdk_convert).
      - A managed disk is V(thin) (takes space as it is written to; a new one is, if you do not say
        otherwise), V(thick) (has its space from the beginning, zeroed at the first write) or
        V(eagerZeroedThick) (zeroed from the beginning). Outside of virtual machines, vSphere does
        not tell the last two apart; we note it in the data base of the disks that we zero, when we
        make them. With another uuid, such a disk counts as V(thick), and a warning says so. Where
        V(eagerZeroedThick) is asked for, a disk that counts as V(thick) will do, with a warning.
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
  adapter_type:
    description:
      - The controller that the disk is meant for. V(lsilogic) if a new disk is made and you do not
        say otherwise.
      - VMware writes V(lsilogic) for PVSCSI, SATA and NVMe disks as well.
      - vSphere makes no managed disks for V(legacyESX), and does not change the controller of one.
    type: str
    choices:
      - ide
      - buslogic
      - lsilogic
      - legacyESX
  hw_version:
    description:
      - Version of the virtual hardware that is noted in the disk. V(10) if a new disk is made and
        you do not say otherwise. That of a managed disk is up to its host.
    type: int
  metadata:
    description:
      - Entries for the disk data base, named without their prefix C(ddb.).
      - Entries that are not named here are left as they are.
      - Of a managed disk, only the entry C(uuid) can be set.
    type: dict
    default: {}
  state:
    description:
      - V(present) creates or grows the disk.
      - V(absent) deletes it with all its extents; its parent, if it is a child, stays.
    type: str
    choices:
      - present
      - absent
    default: present
  force:
    description:
      - With O(state=absent), deletes a disk although child disks beside it need it, and a
        first-class disk with its snapshots.
      - With O(state=present), replaces whatever else is at O(path) if it is not a disk.
      - Neither is done with a managed disk; one that others stand on, or that a virtual machine
        needs, is never deleted.
    type: bool
    default: false
seealso:
  - module: vdisk.lifecycle.vmdk_info
  - module: vdisk.lifecycle.vmdk_convert
"""

EXAMPLES = r"""
- name: A disk of 10 GiB that takes no space yet
  vdisk.lifecycle.vmdk_create:
    path: /srv/vm/web01.vmdk
    size: 10GiB

- name: The same disk, now 20 GiB
  vdisk.lifecycle.vmdk_create:
    path: /srv/vm/web01.vmdk
    size: 20GiB

- name: A split disk for an IDE controller, with a note in its data base
  vdisk.lifecycle.vmdk_create:
    path: /srv/vm/old.vmdk
    size: 6GiB
    disk_type: twoGbMaxExtentSparse
    adapter_type: ide
    metadata:
      comment: for the old appliance

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: A thin disk on a datastore of vSphere
  vdisk.lifecycle.vmdk_create:
    path: "[datastore1] web09/data.vmdk"
    size: 10GiB
    disk_type: thin

- name: No disk, and none of its extents
  vdisk.lifecycle.vmdk_create:
    path: /srv/vm/old.vmdk
    state: absent
"""

RETURN = r"""
disk:
  description: The disk, as M(vdisk.lifecycle.vmdk_info) describes it. In check mode, what is known
    before it is made.
  returned: when O(state=present)
  type: dict
  sample:
    path: /srv/vm/web01.vmdk
    disk_type: monolithicSparse
    size: 10737418240
    allocated: 2686976
    adapter_type: lsilogic
    hw_version: 10
    cid: 5a1f0c3e
    parent_cid: ffffffff
removed:
  description: The files that were deleted, or would be in check mode.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: [/srv/vm/old.vmdk, /srv/vm/old-s001.vmdk]
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_size
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.create_disk import (
    plan_absent,
    plan_present,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import CreateRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.spec import MANAGED_TYPES
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    ADAPTER_TYPES,
    CREATABLE_TYPES,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = CreateRequest(
        path=module.disk_name("path"),
        size=None if params["size"] is None else parse_size(params["size"], "size"),
        disk_type=params["disk_type"],
        adapter_type=params["adapter_type"],
        hw_version=params["hw_version"],
        metadata={key: str(value) for key, value in params["metadata"].items()},
        force=params["force"],
        access=module.access,
        progress=module.progress,
    )
    return plan_present(request) if params["state"] == "present" else plan_absent(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "size": {"type": "str"},
            "disk_type": {"type": "str", "choices": [*CREATABLE_TYPES, *MANAGED_TYPES]},
            "adapter_type": {"type": "str", "choices": list(ADAPTER_TYPES)},
            "hw_version": {"type": "int"},
            "metadata": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
