#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_vm_info
short_description: Virtual machines, their disks, and whether backups can protect them
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Selects virtual machines of a vCenter or an ESXi host by where they are, what they are called
    and how they are tagged, and tells of each disk where it is and whether a backup can hold it. If
    it cannot, it says why, and what to do about it.
  - A virtual machine must meet every option that is given. Of several values of one option, any
    will do. Without any, all virtual machines are listed that the user may see.
  - In names, C(*) is anything and C(?) is one character. Upper and lower case differ. A cluster,
    host, folder, resource pool or datastore may also be given by its path in the inventory, such as
    C(/DC1/vm/prod).
  - Where no cluster, host, folder, resource pool, datastore, tag or custom attribute fits at all,
    the task fails, so that a typing mistake does not look like an empty list.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes.info
  - vdisk.lifecycle.vsphere
options:
  name:
    description:
      - Names of virtual machines. The id of one (C(vm-42)) and its instance or BIOS UUID do as
        well.
    type: list
    elements: str
    default: []
  cluster:
    description: Clusters.
    type: list
    elements: str
    default: []
  host:
    description: ESXi hosts.
    type: list
    elements: str
    default: []
  folder:
    description: Folders. What is in their subfolders and vApps counts as well.
    type: list
    elements: str
    default: []
  resource_pool:
    description: Resource pools and vApps, with those inside of them.
    type: list
    elements: str
    default: []
  datastore:
    description: Datastores. A virtual machine is on each that holds any file of it.
    type: list
    elements: str
    default: []
  tag:
    description: Tags of the virtual machine, as V(gold) or, with their category, V(backup:gold).
    type: list
    elements: str
    default: []
  custom_attribute:
    description:
      - Custom attributes and what they must be, with C(*) and C(?) as in names. All of them must
        fit. Their values are texts, also where they look like a number. What YAML takes for a truth
        value, such as C(yes), must be in quotes.
    type: dict
    default: {}
  power_state:
    description: What the power state must be.
    type: str
    choices: [poweredOn, poweredOff, suspended]
  template:
    description: V(true) lists templates only, V(false) leaves them out. Else both are listed.
    type: bool
  gather_disks:
    description:
      - Whether to look at the disks. Without, a list of many thousands is there in seconds.
    type: bool
    default: true
  gather_tags:
    description:
      - Whether to tell the tags of each. vCenter's REST API tells of one tag at a time, so this
        takes long where there are many.
    type: bool
    default: true
notes:
  - Needs the privilege System.Read (the role Read-only) on what is listed, and nothing else.
seealso:
  - module: vdisk.lifecycle.vmdk_backup
  - module: vmware.vmware.guest_info
"""

EXAMPLES = r"""
# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.

- name: Which virtual machines are to be backed up, and what stands in the way?
  vdisk.lifecycle.vmdk_vm_info:
    tag: backup:gold
  register: gold

- name: Tell of each disk that no backup would hold
  ansible.builtin.debug:
    msg: "{{ item.0.name }} {{ item.1.label }}: {{ item.1.concern }}"
  loop: "{{ gold.vms | subelements('disks') }}"
  loop_control:
    label: "{{ item.0.name }} {{ item.1.name }}"
  when: not item.1.protectable

- name: All running web servers of the shop, without a look at their disks
  vdisk.lifecycle.vmdk_vm_info:
    folder: /DC0/vm/web
    name: web*
    custom_attribute:
      owner: shop
    power_state: poweredOn
    template: false
    gather_disks: false

- name: Whose disks are on this datastore?
  vdisk.lifecycle.vmdk_vm_info:
    datastore: datastore1
    gather_tags: false
  register: tenants
"""

RETURN = r"""
vms:
  description: The virtual machines that were selected.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: web01
    moref:
      description: Its id in this vCenter.
      type: str
      sample: vm-42
    instance_uuid:
      description: Its id, unique in the vCenter.
      type: str
      sample: 503e1a52-0b5f-4a3e-9c0e-1d6b5b1f2a11
    uuid:
      description: The UUID of its BIOS, which the guest sees.
      type: str
      sample: 423e71c4-6a4a-2d1b-8f0f-55a8d1c1b0aa
    power_state:
      description: V(poweredOn), V(poweredOff) or V(suspended).
      type: str
      sample: poweredOn
    template:
      description: Whether it is a template.
      type: bool
      sample: false
    datacenter:
      description: The datacenter it is in.
      type: str
      sample: DC1
    cluster:
      description: The cluster its host is in, if any.
      type: str
      sample: Production
    host:
      description: The ESXi host it runs on, or is registered at.
      type: str
      sample: esx01.example.com
    folder:
      description: The folder that it is in, or that the vApp is in which it belongs to.
      type: str
      sample: /DC1/vm/prod
    resource_pool:
      description: The resource pool or vApp it is in. Templates are in none.
      type: str
      sample: Resources
    custom_attributes:
      description: Its custom attributes that have a value.
      type: dict
      sample: {owner: web team}
    tags:
      description: Its tags, with their categories.
      returned: O(gather_tags=true)
      type: list
      elements: str
      sample: [backup:gold]
    hw_version:
      description: Its hardware version.
      returned: O(gather_disks=true)
      type: int
      sample: 21
    change_tracking:
      description: Whether changed block tracking (CBT) is on, so that backups read only what
        changed.
      returned: O(gather_disks=true)
      type: bool
      sample: true
    snapshots:
      description: How many snapshots it has.
      returned: O(gather_disks=true)
      type: int
      sample: 0
    concerns:
      description: What to know of it as a whole before backing it up, and what to do.
      returned: O(gather_disks=true)
      type: list
      elements: str
      sample:
        - "VMware Tools are not running: nothing brings the guest to rest, and a backup is as after
          a power failure. Install or start them."
    disks:
      description: Its disks.
      returned: O(gather_disks=true)
      type: list
      elements: dict
      contains:
        key:
          description: Its number among the devices.
          type: int
          sample: 2000
        name:
          description: Where it is on the controllers.
          type: str
          sample: scsi0:0
        label:
          description: What vCenter calls it.
          type: str
          sample: Hard disk 1
        path:
          description: Its file. With snapshots, the one that is written to.
          type: str
          sample: "[datastore1] web01/web01.vmdk"
        size:
          description: Bytes that the guest sees.
          type: int
          sample: 10737418240
        mode:
          description: Its mode, such as V(persistent) or V(independent_persistent).
          type: str
          sample: persistent
        uuid:
          description: Its UUID.
          type: str
          sample: 6000C29d-8f3f-4b7b-2d0c-3a1a5b1f2a11
        change_tracking:
          description: Whether changed block tracking is in effect for it.
          type: bool
          sample: true
        protectable:
          description: Whether a backup of the virtual machine can hold it.
          type: bool
          sample: true
        concern:
          description: Why not, and what to do; or what else to know of it.
          type: str
          sample: null
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.list_vms import list_vms
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import (
    Plan,
    nothing_to_do,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.attributes import (
    patterns,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.inventory import (
    Selection,
)

NAMES = ("name", "cluster", "host", "folder", "resource_pool", "datastore", "tag")


def make_plan(module: VmdkModule) -> Plan:
    """Reading is all there is to do."""
    params = module.params
    selection = Selection(
        **{f"{name}s": tuple(params[name]) for name in NAMES},
        attributes=patterns(params["custom_attribute"], "custom_attribute"),
        power_state=params["power_state"],
        template=params["template"],
    )
    found = list_vms(
        module.access.vcenter, selection, disks=params["gather_disks"], tags=params["gather_tags"]
    )
    return nothing_to_do({}, found)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **VSPHERE_SPEC,
            **{name: {"type": "list", "elements": "str", "default": []} for name in NAMES},
            "custom_attribute": {"type": "dict", "default": {}},
            "power_state": {"type": "str", "choices": ["poweredOn", "poweredOff", "suspended"]},
            "template": {"type": "bool"},
            "gather_disks": {"type": "bool", "default": True},
            "gather_tags": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
