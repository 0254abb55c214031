#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_snapshot
short_description: Redo logs of a VMDK - make, commit, revert, rebase, attach
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - A redo log is a child disk. It holds what is written from the moment it is made on; everything
    else is read from its parent, which nobody writes to as long as it has children.
  - This module works on the disks themselves, while no virtual machine has them open. The snapshots
    of a virtual machine on a host are kept by that host.
  - Of the disks of vSphere, first-class disks have snapshots of their own. They are made, deleted
    and gone back to here as well.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk that the redo log is of, that is, the parent.
      - V([datastore1] fcd:data) is a first-class disk of vSphere. With O(state=reverted), and to be
        deleted, it must not be attached to a virtual machine.
    type: str
    required: true
  child:
    description:
      - The redo log. The name must end in C(.vmdk).
      - If you do not say, it is the only child beside the disk; where there is none,
        O(state=present) makes C(web01-000001.vmdk) for C(web01.vmdk), or the next number that is
        free, as VMware does.
      - A snapshot of a first-class disk is named by its description or by its id. To make one, say
        its description; no second one of the same description is made.
    type: str
  state:
    description:
      - V(present) makes an empty child over the disk.
      - V(absent) commits. What the child holds goes into the disk, and the child is removed; the
        disk is larger afterwards if the child was. Children of the child become children of the
        disk. A disk with further children is not committed to, because they would no longer fit.
        A commit that was killed leaves a chain that reads as before, and the next run finishes it;
        until then, the child cannot be changed, and the parent not be used alone.
      - V(reverted) throws away what the child holds. It reads as its parent again. A first-class
        disk goes back to its snapshot; vSphere does not tell whether it differs from that, so this
        counts as a change each time.
      - V(rebased) puts the child of O(path) onto O(parent). The child reads the same before and
        after, because what differs between the two parents is copied into it first; where they are
        equal, nothing is. With O(unsafe=true) nothing is read or copied.
      - V(attached) glues a child onto O(path) after one of them was moved. Nothing but the child's
        descriptor changes. The parent is the right one if it has the content id that the child
        names, or the content that O(parent_digest) names.
    type: str
    choices:
      - present
      - absent
      - reverted
      - rebased
      - attached
    default: present
  disk_type:
    description:
      - How a new child is laid out in files. V(monolithicSparse) if you do not say.
    type: str
    choices:
      - monolithicSparse
      - twoGbMaxExtentSparse
  parent:
    description:
      - The new parent. Needed with O(state=rebased).
    type: str
  parent_digest:
    description:
      - The digest of the parent's content when the child was made, as
        M(vdisk.lifecycle.vmdk_info) told it, such as C(sha256:9f86d0...).
      - With O(state=attached), proves a parent whose content id was changed.
    type: str
  unsafe:
    description:
      - With O(state=rebased) or O(state=attached), takes the new parent unseen. Where the child
        holds nothing of its own, it then reads whatever that parent has there, and the child gets a
        new content id.
    type: bool
    default: false
notes:
  - Children are looked for in the folder of their parent. Those that lie elsewhere, as linked
    clones may, are not seen; and a child that lies elsewhere is not committed.
seealso:
  - module: vdisk.lifecycle.vmdk_clone
  - module: vdisk.lifecycle.vmdk_rename
"""

EXAMPLES = r"""
- name: From here on, changes go to web01-000001.vmdk
  vdisk.lifecycle.vmdk_snapshot:
    path: /srv/vm/web01.vmdk

- name: Forget them
  vdisk.lifecycle.vmdk_snapshot:
    path: /srv/vm/web01.vmdk
    state: reverted

- name: Keep them
  vdisk.lifecycle.vmdk_snapshot:
    path: /srv/vm/web01.vmdk
    state: absent

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: A first-class disk of vSphere
  vdisk.lifecycle.vmdk_create:
    path: "[datastore1] fcd:data"
    size: 64MiB

- name: A snapshot of it
  vdisk.lifecycle.vmdk_snapshot:
    path: "[datastore1] fcd:data"
    child: before the update

- name: Go back to that
  vdisk.lifecycle.vmdk_snapshot:
    path: "[datastore1] fcd:data"
    child: before the update
    state: reverted
"""

RETURN = r"""
disk:
  description: The child, or with O(state=absent) the disk it was committed to, as
    M(vdisk.lifecycle.vmdk_info) describes it. In check mode, what is known before the change. Of a
    first-class disk, the disk itself, with its snapshots in C(first_class).
  returned: success
  type: dict
  sample:
    path: /srv/vm/web01-000001.vmdk
    disk_type: monolithicSparse
    size: 10737418240
    chain: [/srv/vm/web01-000001.vmdk, /srv/vm/web01.vmdk]
removed:
  description: The files of the committed child, or those that would go in check mode; the
    description of the snapshot of a first-class disk.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: [/srv/vm/web01-000001.vmdk]
transfer:
  description: What the commit cost, in bytes and seconds.
  returned: when a child was committed
  type: dict
  sample:
    bytes_total: 67108864
    bytes_read: 67108864
    bytes_written: 66977792
    bytes_zero: 131072
    bytes_reused: 0
    seconds: 0.093
    rate: 721600688
    transport: file
    transport_reason: local file
bytes_written:
  description: The bytes that were copied into the child so that it reads the same.
  returned: when a child was rebased, unless O(unsafe=true)
  type: int
  sample: 131072
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import SnapshotRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.snapshot_disk import (
    plan_absent,
    plan_attached,
    plan_managed,
    plan_present,
    plan_rebased,
    plan_reverted,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CHILD_TYPES,
)

PLANS = {
    "present": plan_present,
    "absent": plan_absent,
    "reverted": plan_reverted,
    "rebased": plan_rebased,
    "attached": plan_attached,
}


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    managed = module.access.is_managed(params["path"])
    name = params.get if managed else module.disk_name  # there, child is a description
    request = SnapshotRequest(
        path=name("path"),
        child=name("child"),
        parent=name("parent"),
        disk_type=params["disk_type"],
        parent_digest=params["parent_digest"],
        unsafe=params["unsafe"],
        access=module.access,
        progress=module.progress,
    )
    if managed:
        return plan_managed(request, params["state"])
    return PLANS[params["state"]](request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "child": {"type": "str"},
            "state": {"type": "str", "choices": list(PLANS), "default": "present"},
            "disk_type": {"type": "str", "choices": list(CHILD_TYPES)},
            "parent": {"type": "str"},
            "parent_digest": {"type": "str"},
            "unsafe": {"type": "bool", "default": False},
        },
        required_if=[("state", "rebased", ("parent",))],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
