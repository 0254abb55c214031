#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_info
short_description: Everything known about a disk
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Reads what a disk says of itself (type, capacity, extents, chain of parents, content ids,
    geometry, data base) and what can be seen of it (allocated bytes, health).
  - On request also its partitions and volumes, where it has content, and the digest of that.
  - Never writes. The disk may be a VMDK, a raw file, a block device, a managed disk of vSphere, or
    lie in a restore point.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes.info
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk, as a disk reference. C(/srv/vm/web01.vmdk) is a VMDK with its whole chain,
        C(/srv/vm/web01.img) and C(/dev/sdb) are raw, C([datastore1] web01/web01.vmdk) is on a
        datastore of vSphere, C([datastore1] fcd:data) is a first-class disk, by its name or id, and
        C(web01@latest) is a disk in a restore point of O(repository).
      - What is known of a managed disk is told in any case. Its content (O(partitions), O(blocks),
        O(digest)) is read through the vCenter while no virtual machine that runs has the disk, and
        where it is a plain file (on VMFS or NFS, and no redo log of a snapshot).
    type: str
    required: true
  partitions:
    description:
      - Return the partitions and the file systems on them as well, and logical volumes of LVM by
        their names. Those have no number, and no C(start) where they lie in several pieces. Of
        what is encrypted, or partly on another disk, C(type) says so.
    type: bool
    default: false
  blocks:
    description:
      - Return where the disk has content as well, its parents included. What is between the runs
        reads as zeros.
    type: bool
    default: false
  digest:
    description:
      - Return the SHA-256 of the content as well. Reads the whole disk.
    type: bool
    default: false
seealso:
  - module: vdisk.lifecycle.vmdk_backup_info
"""

EXAMPLES = r"""
- name: What is this disk?
  vdisk.lifecycle.vmdk_info:
    path: /srv/vm/web01.vmdk
  register: web01

- name: Say it
  ansible.builtin.debug:
    msg: "{{ web01.disk.disk_type }} of {{ web01.disk.size | human_readable }}"

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: What does vSphere know about this one, and who uses it?
  vdisk.lifecycle.vmdk_info:
    path: "[datastore1] files01/files01.vmdk"
    digest: true

- name: Partitions and digest of the newest restore point, without restoring it
  vdisk.lifecycle.vmdk_info:
    path: web01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    partitions: true
    digest: true
"""

RETURN = r"""
disk:
  description: The disk.
  returned: success
  type: dict
  contains:
    path:
      description: Where it is.
      type: str
      sample: /srv/vm/web01.vmdk
    disk_type:
      description: VMware's C(createType), or V(thin), V(thick) or V(eagerZeroedThick) for a managed
        disk, or V(raw), or V(restore point).
      type: str
      sample: monolithicSparse
    size:
      description: Capacity in bytes.
      type: int
      sample: 10737418240
    allocated:
      description: Bytes that the files of the disk, its parents included, take from their file
        system. Of a managed disk, what its datastore says; null where that says nothing.
      type: int
      sample: 2686976
    adapter_type:
      description: The controller that the disk is meant for.
      type: str
      sample: lsilogic
    hw_version:
      description: Version of the virtual hardware.
      type: int
      sample: 10
    cid:
      description: Content id, 8 hexadecimal digits. VMware changes it at the first write after each
        opening.
      type: str
      sample: 5a1f0c3e
    parent_cid:
      description: Content id that the parent had when the child was made; V(ffffffff) for a disk
        without a parent.
      type: str
      sample: ffffffff
    uuid:
      description: The disk's own uuid, as the data base has it.
      type: str
      sample: 60 00 C2 9e 8d 5b 5e 2f-0a 87 1c 4e 6a 5d 3b 21
    encoding:
      description: The character set of the descriptor.
      type: str
      sample: UTF-8
    geometry:
      description: Cylinders, heads and sectors, as the data base has them.
      type: dict
      sample: {cylinders: 1305, heads: 255, sectors: 63}
    metadata:
      description: The whole disk data base, keys without C(ddb.).
      type: dict
      sample: {adapterType: lsilogic, virtualHWVersion: "10"}
    extents:
      description: The extents of the disk, in order.
      type: list
      elements: dict
      sample:
        - {kind: SPARSE, access: RW, sectors: 20971520, path: /srv/vm/web01.vmdk, offset: 0}
    chain:
      description: The files of the links, the disk itself first, its oldest parent last.
      type: list
      elements: str
      sample: [/srv/vm/web01.vmdk]
    users:
      description: The virtual machines that have the disk attached, or need it for a disk or a
        snapshot of theirs.
      returned: for managed disks
      type: list
      elements: dict
      sample: [{name: files01, moref: vm-62, how: "has it attached at scsi0:0", runs: false}]
    first_class:
      description: What vCenter keeps of it. C(consumers) are the ids of those that have it
        attached.
      returned: for first-class disks
      type: dict
      sample: {id: 2f8cd2a5-3c0b-4f0e-9a40-0b7cf2f6a0a1, name: data, created:
        "2026-11-22T02:00:00+00:00", encrypted: false, consumers: [], snapshots: []}
    flags:
      description: What is remarkable about the health of the disk. Empty is good.
      type: list
      elements: str
      sample: []
    partitions:
      description: The volumes of the disk.
      returned: when O(partitions=true)
      type: list
      elements: dict
      sample: [{number: 1, name: null, type: Linux filesystem, fs: ext4, label: root,
        uuid: 0d8a8f0e-58a6-4b7d-a4b7-0e2f6a1c7d11, start: 1048576, size: 10735304192}]
    blocks:
      description: Runs of content, in bytes and in order.
      returned: when O(blocks=true)
      type: list
      elements: dict
      sample: [{offset: 0, length: 65536}, {offset: 1048576, length: 4194304}]
    digest:
      description: SHA-256 of the content.
      returned: when O(digest=true)
      type: str
      sample: sha256:49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.inspect_disk import inspect
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan, nothing_to_do
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REPOSITORY_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Reading is all there is to do."""
    params = module.params
    with module.access.open(params["path"]) as disk:
        facts = inspect(
            disk,
            partitions=params["partitions"],
            blocks=params["blocks"],
            with_digest=params["digest"],
            progress=module.progress,
        )
    return nothing_to_do({}, {"disk": facts})


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "partitions": {"type": "bool", "default": False},
            "blocks": {"type": "bool", "default": False},
            "digest": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
