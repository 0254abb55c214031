#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_rename
short_description: Rename or move a VMDK with all its files
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Gives the disk at O(src) the name O(dest), in its folder, in another one, or on another file
    system. Its extents follow, with the names that VMware gives them, and so does its list of
    changed blocks.
  - Disks beside it that have it as their parent are told its new name; and where the disk is a
    child itself, it still finds its parent.
  - A job killed at any moment leaves the disk whole under its old name, its new name, or both; the
    next run finishes the work.
  - To another file system the files are copied, compared, and only then removed. Within a file
    system nothing is copied, however large the disk.
  - Nothing is ever overwritten, and a disk that is in use stays where it is.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  src:
    description:
      - The disk, by its descriptor. The name must end in C(.vmdk).
      - V([datastore1] web01/web01.vmdk) is a managed disk; then O(dest) is one, too. It is not
        renamed while a virtual machine has it attached, or while other disks stand on it, nor where
        it is the file of a first-class disk.
    type: str
    required: true
  dest:
    description:
      - Its new name, which must end in C(.vmdk). The folder must exist; on a datastore it is made.
      - If O(src) is gone and this disk is there, nothing is done.
    type: str
    required: true
notes:
  - Children are looked for in the folder of O(src). One that lies elsewhere is put back on its
    parent with M(vdisk.lifecycle.vmdk_snapshot), which attaches it.
  - A disk that moves away from its parent or from its children needs the other folder in
    O(allow_outside), then and whenever the chain is opened.
  - The C(.vmx) file of a virtual machine, which names its disks, is not changed.
seealso:
  - module: vdisk.lifecycle.vmdk_clone
  - module: vdisk.lifecycle.vmdk_snapshot
"""

EXAMPLES = r"""
- name: Another name
  vdisk.lifecycle.vmdk_rename:
    src: /srv/vm/web01.vmdk
    dest: /srv/vm/web02.vmdk

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: Another datastore
  vdisk.lifecycle.vmdk_rename:
    src: "[datastore1] archive/golden.vmdk"
    dest: "[nfs1] archive/golden.vmdk"

- name: Another file system
  vdisk.lifecycle.vmdk_rename:
    src: /srv/vm/web02.vmdk
    dest: /srv/archive/web02.vmdk
"""

RETURN = r"""
disk:
  description: The disk at its new place, as M(vdisk.lifecycle.vmdk_info) describes it.
  returned: success
  type: dict
  sample:
    path: /srv/vm/web02.vmdk
    disk_type: monolithicSparse
    size: 10737418240
children:
  description: The child disks that were told the new name of their parent, or would be in check
    mode.
  returned: success
  type: list
  elements: str
  sample: [/srv/vm/web01-000001.vmdk]
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.rename_disk import plan_rename
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import RenameRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    request = RenameRequest(
        src=module.disk_name("src"),
        dest=module.disk_name("dest"),
        access=module.access,
        progress=module.progress,
    )
    return plan_rename(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "src": {"type": "str", "required": True},
            "dest": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
