#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_power_on
short_description: Switch a virtual machine on, and wait until its guest is up
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes sure that a virtual machine runs, as after it was restored. It is never switched off.
  - A machine whose restore was not completed is refused, since its disks may be a mixture.
  - Where vSphere asks a question before it switches the machine on, the task fails and tells it.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.vsphere
options:
  vm:
    description:
      - The virtual machine, by its name (V(web01)), by the path of its folder and its name
        (V(prod/web01)), by its instance uuid, or by its moref (V(vm-123)).
    type: str
    required: true
  wait_for:
    description:
      - What to wait for. V(tools) is that VMware Tools run in the guest; V(address) that they have
        told an address of it; V(none) does not wait.
      - A machine that was on already is waited for, too.
    type: str
    choices:
      - none
      - tools
      - address
    default: none
  timeout:
    description:
      - For so many seconds. Then the task fails; the machine stays on.
    type: int
    default: 600
notes:
  - Needs the privilege VirtualMachine.Interact.PowerOn on the machine.
seealso:
  - module: vdisk.lifecycle.vmdk_restore
  - module: vdisk.lifecycle.vmdk_vm_info
"""

EXAMPLES = r"""
# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.

- name: Switch it on
  vdisk.lifecycle.vmdk_power_on:
    vm: files01

- name: Wait until the guest is there
  vdisk.lifecycle.vmdk_power_on:
    vm: web01
    wait_for: tools
    timeout: 300
"""

RETURN = r"""
vm:
  description: The virtual machine. In check mode, as it would be right after it was switched on.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: web01
    moref:
      description: Its id in this vCenter.
      type: str
      sample: vm-42
    power_state:
      description: V(poweredOn).
      type: str
      sample: poweredOn
    tools:
      description: Whether VMware Tools run in its guest.
      type: bool
      sample: true
    address:
      description: What vSphere calls the address of its guest; empty where none is known.
      type: str
      sample: 192.0.2.17
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.power_on import (
    NONE,
    SIGNS,
    PowerOnRequest,
    plan_power_on,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.shared import (
    shared_session,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = PowerOnRequest(params["vm"], params["wait_for"], params["timeout"])
    return plan_power_on(shared_session(module.access.vcenter), request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **VSPHERE_SPEC,
            "vm": {"type": "str", "required": True},
            "wait_for": {"type": "str", "choices": list(SIGNS), "default": NONE},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
