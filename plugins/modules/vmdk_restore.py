#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_restore
short_description: Restore a disk, or a virtual machine, from a repository
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - With O(dest), makes that a disk with the content that the restore point holds. With O(vm), makes
    the virtual machine that was backed up what it was, where it is; or, if there is none of that
    name, or with O(new_name), makes a new one of it.
  - Every chunk is proven by its id on the way, so no wrong byte is written; O(verify) proves that
    the storage has kept them.
  - What is there is compared first, and nothing is written where it is equal.
  - A new disk is built under a temporary name and renamed when it is complete, so a killed job
    leaves no half disk, and a disk that is replaced stays whole until then.
  - A new machine is marked as unfinished until it is whole, and the next run removes what a killed
    job has left of one. A machine that is restored in place is marked, too, before the first write;
    a restore that was killed is completed by running it again.
  - Restoring a machine is described in C(docs/vm-restore.md) of the collection.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  restore_point:
    description:
      - What to restore. V(web01@latest) is the newest restore point of the disk C(web01.vmdk), or
        of the virtual machine C(web01); V(web01@before-upgrade) the one of that name,
        V(web01@2026-11-22T02:00:00Z) the one of that time. The id of a restore point does as well.
      - V(web01@latest#scsi0:1) is one disk of it. With O(dest) it must be said which, if there are
        several; with O(vm) only that one is restored.
    type: str
    required: true
  repository:
    required: true
  dest:
    description:
      - The disk to make. A name that ends in C(.vmdk) becomes a VMDK, any other name a raw file; a
        block device is written to; C([datastore1] web01/web01.vmdk) becomes a managed disk, which
        needs O(hostname), O(username) and O(password).
      - One of O(dest), O(vm) and O(new_name) must be given.
    type: str
  vm:
    description:
      - The virtual machine to restore in place, by its name (V(web01)), the path of its folder and
        its name (V(prod/web01)), its instance uuid or its moref (V(vm-123)). It must be the one
        that was backed up, powered off and without snapshots. Disks that the restore point does not
        hold stay as they are.
      - If there is no machine of that name, a new one is made.
    type: str
  new_name:
    description:
      - The name of a new virtual machine to make. If there is one of that name already, and it is
        equal, nothing is done; if it differs, that is an error.
    type: str
  what:
    description:
      - What of the machine to restore.
      - V(disks) is the content of its disks. That is usual in place; how its configuration differs
        from the recorded one is told in RV(differences).
      - V(configuration) is all but that. In place it sets processors, memory, firmware and boot
        options, advanced settings, notes, tags and custom attributes as they were recorded;
        devices are neither added nor removed. As a new machine it makes one with empty disks of the
        recorded sizes.
      - V(all) is both, and usual for a new machine.
    type: str
    choices: [all, disks, configuration]
  host:
    description:
      - The ESXi host that the new machine is to be on, by name or path. If not given, it is the one
        where it was, if that is usable and in the same cluster, or one that vCenter chooses.
    type: str
  cluster:
    description:
      - The cluster for the new machine, by name or path.
    type: str
  resource_pool:
    description:
      - The resource pool for the new machine, by name or path. If not given, it is that of
        O(cluster) or O(host), or the one where it was.
    type: str
  folder:
    description:
      - The folder for the new machine, by name or path, such as V(/DC0/vm/restored). If not given,
        it is the one where it was, or the topmost one of the datacenter.
    type: str
  datastore:
    description:
      - The datastore for the new machine and all of its disks. If not given, each disk goes to the
        datastore where it was, or that O(datastore_map) names.
    type: str
  datastore_map:
    description:
      - Which datastores to use in place of those that were recorded, as in C(old01) to C(new01).
        Goes before O(datastore).
    type: dict
    default: {}
  network_map:
    description:
      - Which networks to use in place of those that were recorded.
    type: dict
    default: {}
  identity:
    description:
      - Who the new machine is, as to its uuids and those of its disks, and its MAC addresses.
      - V(keep) makes it the one that was backed up; that is an error while another machine has a
        uuid or an address of it. V(new) gives it others. V(auto) keeps them where nobody else has
        them.
    type: str
    choices: [auto, keep, new]
    default: auto
  transport:
    description:
      - The ways for the content to go to the disks of a machine, in the order in which they are
        tried. Which one it was, and why, is in RV(transfer).
      - V(hotadd) attaches the disks to the virtual machine that runs the module. In place, only
        what differs is written then.
      - V(nfc) makes a new machine by an import, which sends no zeros.
      - V(datastore) sends whole disks over HTTPS, zeros too. In place, the old disk stays whole
        until the new one takes its place.
    type: list
    elements: str
    choices: [hotadd, nfc, datastore]
    default: [hotadd, nfc, datastore]
  proxy_vm:
    description:
      - The virtual machine that runs the module, for V(hotadd), by name, folder path, uuid or
        moref. If not given, it is looked for by the uuid of this host's firmware.
    type: str
  disks_from:
    description:
      - With O(vm), in place of what the restore point holds of a disk (C(scsi0:0)), the content of
        a disk of this host, which has the same size. So disks that were worked on outside of the
        machine, as the role C(patch_window) does, come back to it by the same way as a restore, and
        with the same care.
      - Not with O(what=configuration). A disk that has a pending transaction is read as it was
        before that; commit it first.
      - A template is taken, too. It is a virtual machine meanwhile, and a template again when it is
        whole.
    type: dict
    default: {}
  disk_type:
    description:
      - The type of O(dest), if it is a VMDK. See M(vdisk.lifecycle.vmdk_create) for what they are;
        V(thin), V(thick) and V(eagerZeroedThick) are for managed disks.
      - If you do not say, it is the type that the disk had when it was backed up, or
        V(monolithicSparse) where that had none.
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
  delta:
    description:
      - Write to the O(dest) that is there, and only the chunks in which it differs from the restore
        point; only those are fetched from the repository. O(dest) is read to know. That is the
        quickest way where little differs, and needs no room for a second disk.
      - A restore that is interrupted then leaves a mixture of old and new content; run it again to
        complete it. Without V(true), the disk that was there stays whole until the new one is.
      - O(dest) keeps its files, type, redo logs and metadata. It is refused while others depend on
        it, as redo logs or linked clones of it do, or have it open or mounted.
      - Where O(dest) does not exist, has another size, is not of O(disk_type), or is
        C(streamOptimized), it is made anew as without this option. So is a managed disk.
    type: bool
    default: false
  verify:
    description:
      - Read what was restored again and compare it with the restore point, byte for byte.
    type: bool
    default: false
  force:
    description:
      - Replace O(dest), or with O(delta) overwrite it, if it exists and differs; or overwrite the
        machine O(vm) where it differs. Without this, that is an error.
    type: bool
    default: false
seealso:
  - module: vdisk.lifecycle.vmdk_backup
  - module: vdisk.lifecycle.vmdk_mount
  - module: vdisk.lifecycle.vmdk_vm_info
"""

EXAMPLES = r"""
- name: Bring the disk back to where it was
  vdisk.lifecycle.vmdk_restore:
    restore_point: web01@before-upgrade
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    dest: /srv/vm/web01.vmdk
    force: true

- name: The same, writing only what has changed since, into the disk that is there
  vdisk.lifecycle.vmdk_restore:
    restore_point: web01@before-upgrade
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    dest: /srv/vm/web01.vmdk
    delta: true
    force: true

- name: The newest restore point as a file for import into vSphere
  vdisk.lifecycle.vmdk_restore:
    restore_point: web01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    dest: /srv/export/web01.vmdk
    disk_type: streamOptimized
    verify: true

# These need a vCenter: hostname, username and password, or VMWARE_HOST, VMWARE_USER and
# VMWARE_PASSWORD in the environment.

- name: A new virtual machine beside the one that was backed up
  vdisk.lifecycle.vmdk_restore:
    restore_point: files01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    new_name: files01-restored
    datastore: nfs1
    network_map:
      VM Network: DC0_DVPG0

- name: The virtual machine itself, which is powered off, as it was
  vdisk.lifecycle.vmdk_restore:
    restore_point: files01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    vm: files01
    verify: true
    force: true

- name: One of its disks, as a file on this host
  vdisk.lifecycle.vmdk_restore:
    restore_point: files01@latest#scsi0:0
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    dest: /srv/export/files01.vmdk
"""

RETURN = r"""
disk:
  description: The disk, as M(vdisk.lifecycle.vmdk_info) describes it. In check mode, what is known
    before it is restored.
  returned: success, with O(dest)
  type: dict
  sample:
    path: /srv/vm/web01.vmdk
    disk_type: monolithicSparse
    size: 10737418240
vm:
  description: The virtual machine, as M(vdisk.lifecycle.vmdk_vm_info) describes it. In check mode,
    of a new one no more than its C(name).
  returned: success, with O(vm) or O(new_name)
  type: dict
  sample:
    name: files01-restored
    moref: vm-117
    power_state: poweredOff
disks:
  description: The disks that were restored, or that were found to be equal.
  returned: success, with O(vm) or O(new_name)
  type: list
  elements: dict
  contains:
    name:
      description: Its name in the restore point.
      type: str
      sample: scsi0:0
    label:
      description: What vSphere called it then.
      type: str
      sample: Hard disk 1
    path:
      description: Its file now.
      type: str
      sample: "[nfs1] files01-restored/files01-restored.vmdk"
    size:
      description: In bytes.
      type: int
      sample: 67108864
    changed:
      description: Whether it was written to, or in check mode may be.
      type: bool
      sample: true
    bytes_written:
      description: What was written, where that is known of a single disk.
      type: int
      sample: 67108864
    transport:
      description: How.
      type: str
      sample: datastore
    transport_reason:
      description: Why in that way.
      type: str
      sample: sent to the datastore over HTTPS
differences:
  description: How the configuration of the machine differs from the recorded one; first what nobody
    has asked for.
  returned: success, with O(vm) or O(new_name)
  type: list
  elements: dict
  contains:
    path:
      description: What differs.
      type: str
      sample: instance_uuid
    recorded:
      description: The value in the restore point, V(null) for none.
      type: raw
      sample: 5f3c1a52-6bd0-5a53-a3b5-3a6e1c7b2b8e
    found:
      description: The value now, V(null) for none.
      type: raw
      sample: 50217a1e-04f4-7b1e-9f3b-1f4c5d6e7f80
    intended:
      description: Why it has to be so; V(null) where nobody has asked for it.
      type: str
      sample: new ids were asked for
not_restored:
  description: What of the machine is not made again, or in place not put right, and why.
  returned: success, with O(vm) or O(new_name)
  type: list
  elements: str
  sample:
    - "guestinfo.userdata: it may hold a secret"
restore_point:
  description: The restore point, as M(vdisk.lifecycle.vmdk_backup) returned it.
  returned: success
  type: dict
  sample:
    id: 20261122T020000Z-3f9a2c1b
    name: before-upgrade
    created: "2026-11-22T02:00:00Z"
space_needed:
  description: Bytes that the files of O(dest) take at most, by what the source says it holds,
    without what the file system needs for itself. Check mode tells it beforehand.
  returned: when a disk is made; not with O(delta) into one that is there
  type: int
  sample: 1645215744
transfer:
  description: What the restore cost, in bytes and seconds; of a machine, all of its disks together.
    Where only what differs is written, C(bytes_read) is what was compared, and C(bytes_reused) what
    did not have to be written.
  returned: when something was restored
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

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import CopyRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.restore_disk import plan_restore
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.spec import MANAGED_TYPES
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.placing import (
    AUTO,
    Wanted,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.restore_vm import (
    plan_restore_vm,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.scene import (
    ALL,
    CONFIGURATION,
    DISKS,
    ROADS,
    RestoreVmRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    COPY_SPEC,
    REQUIRED_REPOSITORY_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CREATABLE_TYPES,
)

PLACES = ("host", "cluster", "resource_pool", "folder", "datastore")
MAPS = ("network_map", "datastore_map")
OF_DISKS = ("disk_type", "delta", "allow_outside")
OF_MACHINES = (*PLACES, *MAPS, "what", "proxy_vm", "disks_from")


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    if module.params["dest"] is not None:
        refuse(module, OF_MACHINES, "dest")
        return plan_restore(disk_request(module), delta=module.params["delta"])
    refuse(module, OF_DISKS, "vm" if module.params["vm"] else "new_name")
    if module.params["new_name"]:
        refuse(module, ("disks_from",), "new_name")
    return plan_restore_vm(machine_request(module))


def refuse(module: VmdkModule, options: tuple[str, ...], other: str) -> None:
    """What would be without effect is a misunderstanding."""
    given = [name for name in options if module.params[name]]
    if given:
        module.fail_json(msg=f"{', '.join(given)} cannot be used together with {other}")


def disk_request(module: VmdkModule) -> CopyRequest:
    """A disk of the restore point to a disk."""
    params = module.params
    return CopyRequest(
        src=params["restore_point"],
        dest=params["dest"],
        disk_type=params["disk_type"],
        force=params["force"],
        verify=params["verify"],
        access=module.access,
        progress=module.progress,
    )


def machine_request(module: VmdkModule) -> RestoreVmRequest:
    """A machine in place, or a new one."""
    params = module.params
    return RestoreVmRequest(
        restore_point=params["restore_point"],
        access=module.access,
        vm=params["vm"],
        new_name=params["new_name"],
        what=params["what"],
        wanted=Wanted(**{name: params[name] for name in (*PLACES, *MAPS)}),
        identity=params["identity"],
        transport=tuple(params["transport"]),
        proxy_vm=params["proxy_vm"],
        force=params["force"],
        verify=params["verify"],
        disks_from=params["disks_from"],
        progress=module.progress,
    )


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **COPY_SPEC,
            **REQUIRED_REPOSITORY_SPEC,
            **VSPHERE_SPEC,
            **{name: {"type": "str"} for name in PLACES},
            **{name: {"type": "dict", "default": {}} for name in MAPS},
            "restore_point": {"type": "str", "required": True},
            "dest": {"type": "str"},
            "vm": {"type": "str"},
            "new_name": {"type": "str"},
            "what": {"type": "str", "choices": [ALL, DISKS, CONFIGURATION]},
            "identity": {"type": "str", "choices": [AUTO, "keep", "new"], "default": AUTO},
            "transport": {
                "type": "list",
                "elements": "str",
                "choices": list(ROADS),
                "default": list(ROADS),
            },
            "proxy_vm": {"type": "str"},
            "disks_from": {"type": "dict", "default": {}},
            "disk_type": {"type": "str", "choices": [*CREATABLE_TYPES, *MANAGED_TYPES]},
            "delta": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("dest", "vm", "new_name")],
        required_one_of=[("dest", "vm", "new_name")],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
