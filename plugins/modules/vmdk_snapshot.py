#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_snapshot
short_description: Redo logs of a VMDK, and snapshots of a virtual machine
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - A redo log is a child disk. It holds what is written from the moment it is made on; everything
    else is read from its parent, which nobody writes to as long as it has children.
  - With O(path), this module works on the disks themselves, while no virtual machine has them open.
  - With O(vm), it takes a snapshot of a virtual machine of vSphere, running or not, and keeps it
    until it is told to remove it or to go back to it. Snapshots that others made are not touched.
  - Of the disks of vSphere, first-class disks have snapshots of their own. They are made, deleted
    and gone back to here as well.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
attributes:
  idempotent:
    support: partial
    details:
      - To go back to a snapshot of O(vm) or of a first-class disk counts as a change each time,
        since vSphere does not tell whether anything differs from it.
options:
  path:
    description:
      - The disk that the redo log is of, that is, the parent.
      - V([datastore1] fcd:data) is a first-class disk of vSphere. With O(state=reverted), and to be
        deleted, it must not be attached to a virtual machine.
      - One of O(path) and O(vm) must be given.
    type: str
  vm:
    description:
      - The virtual machine, by its name (V(web01)), by the path of its folder and its name
        (V(prod/web01)), by its instance uuid, or by its moref (V(vm-123)).
      - It must not be a template, nor have a disk that no snapshot holds (independent, shared, a
        physical raw device mapping), as there would be no way back. A machine whose disks await
        consolidation, that has 16 snapshots, or whose datastores lack a tenth of the size of its
        disks as free space, gets none; nor does one that a backup or a restore works on.
    type: str
  name:
    description:
      - The name of the snapshot of O(vm). A snapshot of that name that something else made is an
        error. It must not begin with C(vdisk-lifecycle), as the names of runs do, nor have C(%25),
        C(%2f) or C(%5c) in it.
    type: str
  quiesce:
    description:
      - How much at rest the guest is to be in a new snapshot of O(vm). The best that can be had
        between this and O(quiesce_least) is taken. See M(vdisk.lifecycle.vmdk_backup) for what they
        are.
    type: str
    choices: [application, filesystem, crash_consistent]
    default: application
  quiesce_least:
    description:
      - What is good enough. A machine that cannot be brought to rest so far gets no snapshot. If
        not given, it is V(filesystem), or V(crash_consistent) with O(quiesce=crash_consistent).
    type: str
    choices: [application, filesystem, crash_consistent]
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
      - Of O(vm), V(present) takes the snapshot, without memory, unless it is there. V(absent)
        removes it and awaits the consolidation; what the guest has written since stays.
        V(reverted) goes back to it, which counts as a change each time; the snapshot stays. A
        machine that ran when the snapshot was taken is powered on again then, and boots as after a
        power failure. With newer snapshots on top of it, or where the machine was taken back to
        another snapshot since, that is an error.
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
  - Privileges that are needed for O(vm) are C(VirtualMachine.State.CreateSnapshot),
    C(.RemoveSnapshot), C(.RenameSnapshot) and C(.RevertToSnapshot), and
    C(VirtualMachine.Interact.PowerOn).
  - While it is being made, a snapshot of O(vm) has the name of a run, and the next run on the same
    host removes it if this one is killed; the same holds for one that is being removed. A revert
    that was killed is completed by running it again.
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

- name: A snapshot of a machine that runs
  vdisk.lifecycle.vmdk_snapshot:
    vm: web01
    name: before the update
    quiesce_least: crash_consistent

- name: The update has gone wrong, so the machine boots as it was
  vdisk.lifecycle.vmdk_snapshot:
    vm: web01
    name: before the update
    state: reverted

- name: The snapshot is of no more use
  vdisk.lifecycle.vmdk_snapshot:
    vm: web01
    name: before the update
    state: absent
"""

RETURN = r"""
disk:
  description: The child, or with O(state=absent) the disk it was committed to, as
    M(vdisk.lifecycle.vmdk_info) describes it. In check mode, what is known before the change. Of a
    first-class disk, the disk itself, with its snapshots in C(first_class).
  returned: success, with O(path)
  type: dict
  sample:
    path: /srv/vm/web01-000001.vmdk
    disk_type: monolithicSparse
    size: 10737418240
    chain: [/srv/vm/web01-000001.vmdk, /srv/vm/web01.vmdk]
removed:
  description: The files of the committed child, or those that would go in check mode; the
    description of the snapshot of a first-class disk.
  returned: when O(state=absent), with O(path)
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
snapshot:
  description: The snapshot of O(vm), V(null) where there is none any more. In check mode, of a new
    one no more than C(vm) and C(name). C(level) is how much at rest the guest was, C(power_state)
    what it was then.
  returned: success, with O(vm)
  type: dict
  sample:
    vm: web01
    name: before the update
    moref: snapshot-117
    created: "2026-11-22T02:00:00+00:00"
    level: filesystem
    power_state: poweredOn
powered_on:
  description: Whether the machine was powered on again, or in check mode would be.
  returned: when O(state=reverted), with O(vm)
  type: bool
  sample: true
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
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.request import (
    LEVELS,
    quiesce_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.snapshot.request import (
    VmSnapshotRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.snapshot.snapshot_vm import (
    plan_vm_snapshot,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CHILD_TYPES,
)

OF_VMS = ("present", "absent", "reverted")
OF_DISKS = ("child", "disk_type", "parent", "parent_digest", "unsafe", "allow_outside")
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
    if params["vm"] is not None:
        return make_plan_of_vm(module)
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


def make_plan_of_vm(module: VmdkModule) -> Plan:
    """The same for a virtual machine."""
    params = module.params
    given = [name for name in OF_DISKS if params[name]]
    if given:
        module.fail_json(msg=f"{', '.join(given)} cannot be used together with vm")
    if params["state"] not in OF_VMS:
        module.fail_json(msg=f"a virtual machine can be {', '.join(OF_VMS)}")
    request = VmSnapshotRequest(
        vm=params["vm"],
        name=params["name"],
        access=module.access,
        quiesce=quiesce_of(params["quiesce"], params["quiesce_least"]),
    )
    return plan_vm_snapshot(request, params["state"])


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str"},
            "vm": {"type": "str"},
            "name": {"type": "str"},
            "quiesce": {"type": "str", "choices": list(LEVELS), "default": LEVELS[0]},
            "quiesce_least": {"type": "str", "choices": list(LEVELS)},
            "child": {"type": "str"},
            "state": {"type": "str", "choices": list(PLANS), "default": "present"},
            "disk_type": {"type": "str", "choices": list(CHILD_TYPES)},
            "parent": {"type": "str"},
            "parent_digest": {"type": "str"},
            "unsafe": {"type": "bool", "default": False},
        },
        required_if=[("state", "rebased", ("parent",))],
        mutually_exclusive=[("path", "vm"), ("path", "name")],
        required_one_of=[("path", "vm")],
        required_together=[("vm", "name")],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
