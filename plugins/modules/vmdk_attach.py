#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_attach
short_description: Attach a managed disk to a virtual machine, or detach it
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes sure that a disk that lies on a datastore is, or is not, attached to a virtual machine,
    which may be running.
  - Tells the name by which a Linux guest will see the disk, C(/dev/disk/by-id/wwn-0x6000c29...), so
    that the next task can use it there.
  - Detaching takes the disk from the machine and leaves its files where they are. This module never
    makes, changes or deletes a file of a disk.
  - A disk that another machine has attached, or that the disks or snapshots of one stand on, is
    refused, and the message says where it is needed. vSphere itself notices only when both machines
    run. Where another machine gets the disk at the same moment, it is detached again.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk, such as C([datastore1] web01/data.vmdk).
      - A first-class disk is named C([datastore1] fcd:NAME), or C([datastore1] fcd:ID).
      - M(vdisk.lifecycle.vmdk_create) makes either.
    type: str
    required: true
  vm:
    description:
      - The virtual machine, by its name (V(web01)), by the path of its folder and its name
        (V(prod/web01)), by its instance uuid, or by its moref (V(vm-123)).
      - If several machines answer to it, nothing is done, and all of them are told.
    type: str
    required: true
  mode:
    description:
      - V(persistent) is the usual one. What the guest writes stays, and snapshots of the machine
        include the disk.
      - V(independent_persistent) leaves it out of snapshots.
      - V(independent_nonpersistent) never writes to the disk. What the guest writes is forgotten
        when the machine is powered off or the disk detached. A disk that snapshots of another
        machine stand on can be looked at in this way.
      - A disk that is newly attached is V(persistent) if you do not say. Of one that is attached
        already, the mode can change only while the machine is off.
    type: str
    choices:
      - persistent
      - independent_persistent
      - independent_nonpersistent
  controller:
    description:
      - The controller to attach the disk to. It is made if the machine does not have it.
      - If you do not say, the disk goes to the first free slot of the PVSCSI controllers; if they
        have none, to a new PVSCSI controller, of which there are four at most; and in the end to
        any other SCSI controller. Controllers that share their bus with other machines are used
        only if you name them by O(controller.bus).
    type: dict
    suboptions:
      type:
        description:
          - What kind of controller, by the names that C(vmware.vmware) uses.
        type: str
        choices:
          - paravirtual
          - lsilogic
          - lsilogicsas
          - buslogic
          - sata
          - nvme
      bus:
        description:
          - Its number, from V(0) to V(3). SCSI controllers of all types are numbered together.
        type: int
  unit:
    description:
      - The unit on the controller. V(7) is the SCSI controller itself.
      - A free one up to V(15) is used if you do not say. A PVSCSI controller of a machine with
        hardware version 14 or later has units up to V(64).
    type: int
  sharing:
    description:
      - With V(multiwriter), several machines may have the disk attached at the same time and write
        to it. Their file system must be made for that. All of them must have it attached so, and
        none may have snapshots.
      - V(none) if a disk is newly attached and you do not say.
    type: str
    choices:
      - none
      - multiwriter
  state:
    description:
      - V(present) attaches the disk.
      - V(absent) detaches it from O(vm). It is not looked for at other machines.
      - A disk that snapshots of the machine hold is not detached. vSphere would delete files that
        it needs along with the last of those snapshots.
    type: str
    choices:
      - present
      - absent
    default: present
notes:
  - Privileges that are needed on the machine are C(VirtualMachine.Config.AddExistingDisk) to
    attach, C(VirtualMachine.Config.RemoveDisk) to detach, and
    C(VirtualMachine.Config.AddRemoveDevice) where a controller must be made; and
    C(Datastore.FileManagement) on the datastore. Encrypted disks also need
    C(Cryptographer.AddDisk) and C(Cryptographer.Access), and an encrypted machine.
  - Tried against the simulator of this collection's tests; not yet against a real vCenter.
seealso:
  - module: vdisk.lifecycle.vmdk_create
  - module: vdisk.lifecycle.vmdk_info
  - module: vdisk.lifecycle.vmdk_vm_info
"""

EXAMPLES = r"""
# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: A disk for the data of web01
  vdisk.lifecycle.vmdk_create:
    path: "[datastore1] web01/data.vmdk"
    size: 1GiB
    disk_type: thin

- name: Give it to the machine
  vdisk.lifecycle.vmdk_attach:
    path: "[datastore1] web01/data.vmdk"
    vm: web01
  register: data

- name: What the guest calls it
  ansible.builtin.debug:
    msg: "{{ data.attachment.by_id | first }}"

- name: Take it away; its files stay
  vdisk.lifecycle.vmdk_attach:
    path: "[datastore1] web01/data.vmdk"
    vm: web01
    state: absent

- name: Put it on a controller of its own, and leave it out of snapshots
  vdisk.lifecycle.vmdk_attach:
    path: "[datastore1] web01/data.vmdk"
    vm: web/web01
    mode: independent_persistent
    controller:
      type: paravirtual
      bus: 1
    unit: 3

- name: A first-class disk
  vdisk.lifecycle.vmdk_create:
    path: "[datastore1] fcd:queue"
    size: 64MiB

- name: Give it to a machine, too
  vdisk.lifecycle.vmdk_attach:
    path: "[datastore1] fcd:queue"
    vm: db01
"""

RETURN = r"""
attachment:
  description: How the disk is attached. In check mode, how it would be.
  returned: when O(state=present)
  type: dict
  contains:
    vm:
      description: Name of the virtual machine.
      type: str
      sample: web01
    moref:
      description: Its id within vCenter.
      type: str
      sample: vm-123
    instance_uuid:
      description: Its instance uuid.
      type: str
      sample: 501c3ffb-b1a1-4c11-a16a-4b6c5f54c0a1
    name:
      description: The slot, as VMware writes it.
      type: str
      sample: scsi0:1
    controller:
      description: The controller.
      type: dict
      sample: {type: paravirtual, bus: 0}
    unit:
      description: The unit on the controller.
      type: int
      sample: 1
    key:
      description: The key of the device. Not known in check mode before the disk is attached.
      type: int
      sample: 2001
    mode:
      description: The mode, as O(mode).
      type: str
      sample: persistent
    sharing:
      description: The sharing, as O(sharing).
      type: str
      sample: none
    uuid:
      description: The uuid of the disk.
      type: str
      sample: 6000C29e-8d5b-5e2f-0a87-1c4e6a5d3b21
    by_id:
      description: The links by which a Linux guest finds the disk. Empty for a disk that is not on
        a SCSI controller.
      type: list
      elements: str
      sample:
        - /dev/disk/by-id/wwn-0x6000c29e8d5b5e2f0a871c4e6a5d3b21
        - /dev/disk/by-id/scsi-36000c29e8d5b5e2f0a871c4e6a5d3b21
    enable_uuid:
      description: Whether the machine has C(disk.EnableUUID) set. If not, its guest is not told the
        uuids of disks, and does not have those links.
      type: bool
      sample: true
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.managed.attach_disk import (
    MODES,
    SHARINGS,
    AttachRequest,
    plan_attached,
    plan_detached,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.shared import (
    shared_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.free_slot import (
    KINDS,
    Wanted,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    controller = params["controller"] or {}
    request = AttachRequest(
        path=params["path"],
        vm=params["vm"],
        mode=params["mode"],
        wanted=Wanted(controller.get("type"), controller.get("bus"), params["unit"]),
        sharing=params["sharing"],
    )
    session = shared_session(module.access.vcenter)
    plan = plan_attached if params["state"] == "present" else plan_detached
    return plan(session, request)


def main() -> None:
    """Entry point."""
    controller = {
        "type": {"type": "str", "choices": list(KINDS)},
        "bus": {"type": "int"},
    }
    module = VmdkModule(
        argument_spec={
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "vm": {"type": "str", "required": True},
            "mode": {"type": "str", "choices": list(MODES)},
            "controller": {"type": "dict", "options": controller},
            "unit": {"type": "int"},
            "sharing": {"type": "str", "choices": list(SHARINGS)},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
