#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_boot
short_description: Start a disk in a fenced-off machine, to prove that it comes up
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Starts a machine with QEMU from a disk, waits for a sign that it is up, takes a picture of its
    screen, and ends it. The disk may be a VMDK of any type with its whole chain, a raw file, a
    block device, or lie in a restore point, which is not restored for that.
  - B(The disk is never written.) What the machine writes is kept beside it, in a file without a
    name in the folder for temporary files, and is gone when the machine is.
  - The machine has no network, runs as the user C(nobody) where the module runs as root, may start
    no other program, and gets its disks, its console and its screen as open files, so that it knows
    nothing of this host. It ends with the module, however that ends, and leaves nothing behind.
  - Guests from VMware have neither a console on the serial port nor the agent of QEMU as a rule. So
    that they can show that they are up, give them C(console=ttyS0) on the command line of the
    kernel, or install C(qemu-guest-agent), which sleeps on VMware. See the guide C(docs/drill.md).
requirements:
  - C(qemu-system-x86), or C(qemu-system-arm) for O(architecture=aarch64)
  - C(ovmf), or C(qemu-efi-aarch64), for disks that are started by EFI
  - C(setpriv), of util-linux
extends_documentation_fragment:
  - vdisk.lifecycle.attributes.info
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk, as a disk reference. C(/srv/vm/web01.vmdk) is a VMDK with its whole chain,
        C(/srv/vm/web01.img) and C(/dev/sdb) are raw, C([datastore1] web01/web01.vmdk) is on a
        datastore of vSphere, and C(web01@latest) is a disk in a restore point of O(repository).
      - Either this or O(disks) is needed.
    type: str
  disks:
    description:
      - All disks of one machine, as disk references. It is started from the first.
    type: list
    elements: str
  transaction:
    description:
      - See the disks as their pending transaction shows them; see
        O(vdisk.lifecycle.vmdk_mount#module:transaction). They must not be mounted then.
    type: bool
    default: false
  wait_for:
    description:
      - The signs that prove that it is up; the first one decides.
      - V(marker) is O(marker) on the console, V(agent) is an answer of the QEMU guest agent.
    type: list
    elements: str
    choices:
      - marker
      - agent
    default:
      - marker
      - agent
  marker:
    description:
      - A regular expression that is looked for in what the machine says on its first serial port.
        C(^) and C($) are the start and the end of a line.
      - By default it is a prompt such as C(web01 login:), one of the targets of systemd that mean
        as much, or the emergency console of Windows.
    type: str
  timeout:
    description:
      - How long to wait for a sign, in seconds. Without KVM, a machine is some ten times slower
        than usual.
    type: int
    default: 300
  must_come_up:
    description:
      - Whether the task fails if it does not come up. Otherwise see RV(boot.up).
    type: bool
    default: true
  screenshot:
    description:
      - Write a picture of its screen to this PNG file, taken when it is up, or has failed. Only a
        picture shows what a system without a serial console has to say, such as the blue screen
        of a Windows that does not find its disk.
    type: path
  architecture:
    description:
      - The processor that it is for.
    type: str
    choices:
      - x86_64
      - aarch64
    default: x86_64
  machine:
    description:
      - The type of machine, as C(qemu-system-x86_64 -machine help) names them. By default V(pc) for
        a BIOS, V(q35) for EFI, and V(virt) for O(architecture=aarch64).
    type: str
  firmware:
    description:
      - What starts it. V(auto) takes V(efi) for a disk that has an EFI system partition, and no
        boot code for a BIOS.
      - The EFI variables are those of a new machine, so it has to start from
        C(\EFI\BOOT\BOOTX64.EFI), as all systems do that can be moved to other machines.
    type: str
    choices:
      - auto
      - bios
      - efi
    default: auto
  bus:
    description:
      - What the disks are attached to. A system only starts where it has a driver for that.
      - V(auto) goes by the controller that is known of the disk, from its backup or its descriptor.
        VMware writes the same for all SCSI controllers into the latter, so V(pvscsi) is taken for
        those. Where nothing is known, it is V(virtio).
    type: str
    choices:
      - auto
      - virtio
      - ide
      - sata
      - nvme
      - pvscsi
      - lsisas
      - lsilogic
    default: auto
  accelerator:
    description:
      - Who runs its instructions, V(kvm), the processor of this host, or V(tcg), a program, which
        needs no rights and is slow.
      - V(auto) takes V(kvm) if a small program really runs with it, within seconds. That
        C(/dev/kvm) is there proves nothing.
    type: str
    choices:
      - auto
      - kvm
      - tcg
    default: auto
  memory:
    description:
      - As much memory as it has, with a unit, such as V(2GiB).
    type: str
    default: 1GiB
  cpus:
    description:
      - As many processors as it has.
    type: int
    default: 1
  network:
    description:
      - V(none) is a machine without a network card.
      - V(isolated) has one with a cable that leads nowhere; it is given an address, and reaches
        nobody, nor is it reached. Some systems wait minutes for a network before they are up.
    type: str
    choices:
      - none
      - isolated
    default: none
seealso:
  - module: vdisk.lifecycle.vmdk_restore
  - module: vdisk.lifecycle.vmdk_verify
"""

EXAMPLES = r"""
- name: Would last night's backup come up?
  vdisk.lifecycle.vmdk_boot:
    path: guest01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    timeout: 120
    screenshot: /srv/export/guest01.png
  register: drill

- name: How do we know?
  ansible.builtin.debug:
    msg: "It was up after {{ drill.boot.seconds }} s, by its {{ drill.boot.how }}"

- name: See for yourself what a disk says, and go on in any case
  vdisk.lifecycle.vmdk_boot:
    path: /srv/vm/web01.vmdk
    must_come_up: false
    bus: ide
    timeout: 5
  register: attempt

- name: This one has no system on it
  ansible.builtin.assert:
    that: not attempt.boot.up
"""

RETURN = r"""
boot:
  description: What was started, and how it went. In check mode, what would be started.
  returned: success, and when it did not come up
  type: dict
  contains:
    path:
      description: The disk that it was started from.
      type: str
      sample: guest01@latest
    disks:
      description: All its disks.
      type: list
      elements: str
      sample: [guest01@latest]
    up:
      description: Whether it came up; null in check mode.
      type: bool
      sample: true
    how:
      description: The sign that proves it, C(marker) or C(agent); null if there was none.
      type: str
      sample: marker
    problem:
      description: Why it is not up, in words; or what could not be read of its disks, although it
        is up.
      type: str
      sample: null
    seconds:
      description: How long that took.
      type: float
      sample: 4.21
    firmware:
      description: What started it, V(bios) or V(efi).
      type: str
      sample: bios
    architecture:
      description: The processor.
      type: str
      sample: x86_64
    machine:
      description: The type of machine.
      type: str
      sample: pc
    bus:
      description: What the disks were attached to.
      type: str
      sample: pvscsi
    accelerator:
      description: Who ran its instructions, V(kvm) or V(tcg).
      type: str
      sample: tcg
    accelerator_reason:
      description: Why it was not V(kvm), though that would have been allowed.
      type: str
      sample: a guest does not run with it
    network:
      description: Its network, V(none) or V(isolated).
      type: str
      sample: none
    console_tail:
      description: The last 40 lines that it said on its serial port.
      type: list
      elements: str
      sample: ["Debian GNU/Linux 12 guest01 ttyS0", "guest01 login:"]
    screenshot:
      description: The picture of its screen, if there is one.
      type: str
      sample: /srv/export/guest01.png
    guest:
      description: What its agent told, C(os) and C(interfaces), word for word; null without one.
      type: dict
      sample: null
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_size
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.console import (
    DEFAULT_MARKER,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.machine import BUSES
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.run import Proof
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.boot_disk import (
    BootJob,
    plan_boot,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REPOSITORY_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    proof = Proof(params["wait_for"], params["marker"] or DEFAULT_MARKER, params["timeout"])
    alike = ("transaction", "must_come_up", "screenshot", "architecture", "machine", "firmware")
    further = ("bus", "accelerator", "cpus", "network")
    return plan_boot(
        BootJob(
            paths=tuple(params["disks"] or [params["path"]]),
            access=module.access,
            proof=proof,
            memory=parse_size(params["memory"], "memory"),
            **{name: params[name] for name in (*alike, *further)},
        )
    )


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str"},
            "disks": {"type": "list", "elements": "str"},
            "transaction": {"type": "bool", "default": False},
            "wait_for": {
                "type": "list",
                "elements": "str",
                "choices": ["marker", "agent"],
                "default": ["marker", "agent"],
            },
            "marker": {"type": "str"},
            "timeout": {"type": "int", "default": 300},
            "must_come_up": {"type": "bool", "default": True},
            "screenshot": {"type": "path"},
            "architecture": {
                "type": "str",
                "choices": ["x86_64", "aarch64"],
                "default": "x86_64",
            },
            "machine": {"type": "str"},
            "firmware": {"type": "str", "choices": ["auto", "bios", "efi"], "default": "auto"},
            "bus": {"type": "str", "choices": ["auto", *BUSES], "default": "auto"},
            "accelerator": {"type": "str", "choices": ["auto", "kvm", "tcg"], "default": "auto"},
            "memory": {"type": "str", "default": "1GiB"},
            "cpus": {"type": "int", "default": 1},
            "network": {"type": "str", "choices": ["none", "isolated"], "default": "none"},
        },
        required_one_of=[("path", "disks")],
        mutually_exclusive=[("path", "disks")],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
