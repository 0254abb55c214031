#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_backup
short_description: Back up a disk, or a virtual machine, to a repository
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes a restore point of the disk at O(path), or of the virtual machine O(vm), in O(repository).
    Only chunks that the repository does not have yet are stored, compressed and encrypted; every
    restore point is complete in itself.
  - The restore point appears when everything it needs is stored and durable, never before; a killed
    job leaves none.
  - A disk at O(path) must not be written to meanwhile. It is locked, but a virtual machine of
    another product may not respect that.
  - A virtual machine may run. Nothing is installed in it, and no VDDK is needed. Its disks are read
    as a snapshot holds them, and of a disk whose changed block tracking has proved right, only what
    has changed. Its settings, tags, storage policies and firmware variables go into the same
    restore point. Then the snapshot is removed, and its disks are consolidated.
  - Whatever is made in vSphere is written down before, on the host that runs the module. What a
    killed job leaves there, the next run with O(vm) removes, and says so.
requirements:
  - botocore (Python library) for O(retain) in S3
  - C(nbdkit), its vddk plugin and VMware's library for V(vddk) in O(transport)
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
attributes:
  idempotent:
    support: partial
    details:
      - With O(retain), each run makes a restore point.
options:
  path:
    description:
      - The disk, as a disk reference. C(/srv/vm/web01.vmdk) is a VMDK with its whole chain;
        C(/srv/vm/web01.img) and C(/dev/sdb) are raw; C([datastore1] data/shared.vmdk) is a managed
        disk, C(nbd://host/export) one that an NBD server offers.
      - A managed disk can be read while no running machine has it. With O(vm) it is backed up
        together with its machine, also while that runs.
      - One of O(path) and O(vm) must be given.
    type: str
  vm:
    description:
      - The virtual machine, or template, by its name (V(web01)), the path of its folder and its
        name (V(prod/web01)), its instance uuid or its moref (V(vm-123)). It needs O(hostname),
        O(username) and O(password), or the environment variables that stand in for them.
    type: str
  disks:
    description:
      - Back up these disks of O(vm) only, by name (V(scsi0:1)) or label (V(Hard disk 2)).
    type: list
    elements: str
    default: []
  exclude_disks:
    description:
      - Leave out these disks of O(vm), by name or label.
    type: list
    elements: str
    default: []
  allow_partial:
    description:
      - Whether a restore point may lack disks of O(vm) that cannot be backed up, or that fail while
        they are read. It then says which, in C(source.partial) of RV(restore_point), and a warning
        does. Without it, such a disk is an error unless O(exclude_disks) names it.
      - A restore point that lacks disks is not young enough for O(max_age) unless this is set, and
        in no case if it lacks one that was left out by choice and is meant now.
    type: bool
    default: false
  quiesce:
    description:
      - How the guest of O(vm) is brought to rest for the snapshot, if it can be. V(application)
        asks VSS writers of Windows, then tries V(filesystem), which freezes file systems and runs
        scripts of VMware Tools; V(crash_consistent) does nothing, as after a power failure.
    type: str
    choices: [application, filesystem, crash_consistent]
    default: application
  quiesce_least:
    description:
      - What is good enough where that fails, for example as VMware Tools do not run. If not given,
        it is V(filesystem), or V(crash_consistent) with O(quiesce=crash_consistent). What was
        reached is in C(source.quiesce) of RV(restore_point).
    type: str
    choices: [application, filesystem, crash_consistent]
  transport:
    description:
      - The ways to the content of the disks of O(vm), each tried in turn for each disk. The one
        that was taken, and why those before it were not, is in RV(restore_point).
      - V(hotadd) attaches the frozen disk to the virtual machine that runs the module.
      - V(vddk) uses a library of VMware's that you bring, in O(vddk_libdir).
      - V(datastore) reads files over HTTPS; that is for machines that are off, and templates.
      - V(nfc) has vSphere export whole disks, also of running machines.
    type: list
    elements: str
    choices: [hotadd, vddk, datastore, nfc]
    default: [hotadd, vddk, datastore, nfc]
  proxy_vm:
    description:
      - The virtual machine that runs the module, for V(hotadd), by name, folder path, uuid or
        moref. If not given, it is looked for by the uuid of this host's firmware.
    type: str
  vddk_libdir:
    description:
      - For V(vddk), the folder of VMware's Virtual Disk Development Kit on the host that runs the
        module.
    type: path
  vddk_modes:
    description:
      - For V(vddk), the ways that VMware's library is to try, in that order.
      - Its V(hotadd) is not that of O(transport). A job that is killed may leave its disks attached
        to this host, and no later run detaches them; and it attaches disks which
        O(transport=hotadd) refuses for good reasons. Name it only where O(transport) does not have
        V(hotadd).
    type: list
    elements: str
    choices: [san, hotadd, nbdssl, nbd]
    default: [san, nbdssl, nbd]
  repository:
    required: true
  name:
    description:
      - A name for the restore point, unique among those of this disk. If the disk has a restore
        point of that name already, nothing is done.
      - The disk itself goes by the name of its file without C(.vmdk). So with V(before-upgrade),
        the restore point of C(/srv/vm/web01.vmdk) is C(web01@before-upgrade).
    type: str
  max_age:
    description:
      - Do nothing if the disk has a restore point younger than this, such as V(12h), V(7d) or
        V(90m).
    type: str
  mode:
    description:
      - V(incremental) builds on an earlier restore point, V(full) looks at none. The result is the
        same, a complete restore point. V(auto) is incremental where it can be.
    type: str
    choices:
      - auto
      - full
      - incremental
    default: auto
  changes:
    description:
      - V(auto) reads only what has changed since an earlier restore point, where that is known. So
        it is for a VMDK whose files, or those of the parents below its redo logs, are just as they
        were when they were backed up from this host, by their size, inode, and times of
        modification and change. Then only what the redo logs above hold is read.
      - Files that were written to within two seconds before a backup are not relied on later.
        O(mode=full) relies on nothing.
      - With O(vm), V(auto) switches changed block tracking on where that is safe, and believes what
        it says once it was compared with all of a disk.
      - V(scan) always reads the whole disk, and leaves changed block tracking as it is. Use it
        where the times of files cannot be trusted, such as on network file systems whose server is
        written to by others too.
    type: str
    choices:
      - auto
      - scan
    default: auto
  self_check:
    description:
      - Before a backup relies on what is known to have changed, it reads again this many chunks of
        data, picked at random, that are said to be unchanged. Is one of them different, the whole
        disk is read, with a warning.
      - If 5 % of them were wrong, 64 chunks would miss it in 4 of 100 backups; if 10 % were, in 1
        of 800. V(0) checks nothing.
    type: int
    default: 64
  retain:
    description:
      - Nobody deletes the restore point for so long, such as V(30d) or V(12w), up to ten years, no
        matter what rules or rights say. M(vdisk.lifecycle.vmdk_prune) keeps it.
      - In S3, all that the restore point needs is locked there (object lock), packs of earlier
        restore points too. Not even the owner of the bucket can take it away before the time is
        over, and nothing can shorten it. That needs a bucket that was made with object lock, and
        the Python library botocore on the host that runs the module.
      - In a directory it binds this collection only; whoever may write there can delete it.
      - With O(retain), a run makes a restore point even if nothing has changed since the last one,
        for that one's time cannot be extended. It costs next to nothing.
    type: str
  retain_mode:
    description:
      - How S3 locks. V(compliance) yields to nobody. V(governance) yields to those who have the
        right C(s3:BypassGovernanceRetention), good for trying it out.
    type: str
    choices:
      - compliance
      - governance
    default: compliance
  workers:
    description:
      - How many threads read, compress and encrypt, 1 to 64. If not given, as many as the host has
        processors, but at least 2 and at most 4. More help on hosts with many fast processors only.
    type: int
  memory_limit:
    description:
      - How much memory the backup may take, such as V(256M), the least, or V(1G). Of what it takes,
        most are packs of 64 MiB that are on their way into an object store. More memory lets more
        of them go at the same time, four at most, which helps where the store is far away.
      - What the host needs to remember of a very large repository comes on top.
    type: str
    default: 512M
notes:
  - With none of O(name), O(max_age) and O(retain), a restore point is made if the content differs
    from that of the newest one. To know, the disk is read, in check mode too, unless it is known by
    O(changes=auto).
  - In check mode with O(vm), nothing is made in vSphere, so nobody knows whether anything has
    changed since the last restore point. RV(plan) says what would be done with each disk.
  - Let the tasks of one virtual machine run on one host, one after the other, with the same
    E(VDISK_STATE_DIR) (C(/var/lib/vdisk-lifecycle/jobs)).
seealso:
  - module: vdisk.lifecycle.vmdk_repository
  - module: vdisk.lifecycle.vmdk_restore
  - module: vdisk.lifecycle.vmdk_vm_info
"""

EXAMPLES = r"""
- name: Back up a disk before it is touched
  vdisk.lifecycle.vmdk_backup:
    path: /srv/vm/web01.vmdk
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    name: before-upgrade

- name: At most one restore point every twelve hours, however often this runs
  vdisk.lifecycle.vmdk_backup:
    path: /srv/vm/web01.vmdk
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    max_age: 12h

- name: Every night, and for 30 days nobody can take it away
  vdisk.lifecycle.vmdk_backup:
    path: /srv/vm/web01.vmdk
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    retain: 30d

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: A virtual machine that runs, with all its disks
  vdisk.lifecycle.vmdk_backup:
    vm: web01
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"

- name: At most once a night, without the disk for temporary files, and at rest if possible
  vdisk.lifecycle.vmdk_backup:
    vm: databases/db01
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    exclude_disks:
      - scsi0:2
    max_age: 20h
    quiesce: filesystem
    quiesce_least: crash_consistent

- name: What would be done with each disk of a template, and how
  vdisk.lifecycle.vmdk_backup:
    vm: debian-template
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
  check_mode: true
"""

RETURN = r"""
restore_point:
  description:
    - The restore point that was made, or the one because of which nothing was done.
    - Disks of a virtual machine also have C(transport) and C(transport_reason). C(configuration) is
      true then, and C(source) says how much at rest the guest was (C(quiesce)) and which disks are
      missing (C(partial)).
  returned: when there is one; not in check mode if it would be made
  type: dict
  sample:
    id: 20261122T020000Z-3f9a2c1b
    name: before-upgrade
    created: "2026-11-22T02:00:00Z"
    source: {kind: disk, name: web01, path: /srv/vm/web01.vmdk}
    disks:
      - key: null
        name: disk0
        label: web01.vmdk
        size: 10737418240
        method: changed
        reason: what changed since 20261121T020000Z-77ab01c9
        bytes_read: 88080384
        bytes_new: 20971520
        digest_id: blake3:5d0c6f2f5a94e7c1
    size: 10737418240
    added: 9437184
    seconds: 14
    repository: /srv/backup
    retain_until: "2026-12-22T02:00:00Z"
plan:
  description: What would be done with each disk, what stands in the way of some, and what there is
    to know about the virtual machine. What is read is known for sure only once there is a snapshot.
  returned: in check mode with O(vm), if a restore point would be made
  type: dict
  sample:
    snapshot: true
    concerns: []
    left_out: {}
    disks:
      - key: 2000
        name: scsi0:0
        label: Hard disk 1
        size: 10737418240
        method: changed
        reason: what changed since the last restore point, unless the snapshot shows a doubt
        transport: hotadd
        transport_reason: the first of those to try
leftovers:
  description: What could not be taken back in vSphere though the restore point is whole. The next
    run tries again.
  returned: with O(vm), where there is any
  type: list
  elements: str
  sample: []
transfer:
  description: What the backup cost, in bytes and seconds. C(bytes_reused) also counts what was not
    read as nothing there had changed.
  returned: when a restore point was made
  type: dict
  sample:
    bytes_total: 10737418240
    bytes_read: 88080384
    bytes_written: 9437184
    bytes_zero: 2147483648
    bytes_reused: 8568963072
    seconds: 0.318
    rate: 33765214465
    transport: file
    transport_reason: local file
"""

import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import (
    parse_age,
    parse_size,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.backup_disk import (
    BackupRequest,
    plan_backup,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.backup_vm import (
    plan_vm_backup,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.request import (
    LEVELS,
    VmBackupRequest,
    quiesce_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.subject import Choice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.transports import (
    NAMES,
    VDDK_DEFAULT,
    VDDK_MODES,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REQUIRED_REPOSITORY_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    SELF_CHECK,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    if module.params["vm"] is not None:
        return plan_vm_backup(_vm_request(module))
    return plan_backup(BackupRequest(path=module.params["path"], **_wish(module)))


def _wish(module: VmdkModule) -> dict[str, t.Any]:
    """What a restore point shall be, whatever it is made of."""
    params = module.params
    return {
        "name": params["name"],
        "max_age": None if params["max_age"] is None else parse_age(params["max_age"], "max_age"),
        "mode": params["mode"],
        "changes": params["changes"],
        "self_check": _count(params["self_check"]),
        "retain": None if params["retain"] is None else parse_age(params["retain"], "retain"),
        "retain_mode": params["retain_mode"],
        "workers": params["workers"],
        "memory_limit": parse_size(params["memory_limit"], "memory_limit"),
        "access": module.access,
        "progress": module.progress,
    }


def _vm_request(module: VmdkModule) -> VmBackupRequest:
    params = module.params
    return VmBackupRequest(
        vm=params["vm"],
        choice=Choice(tuple(params["disks"]), tuple(params["exclude_disks"])),
        quiesce=quiesce_of(params["quiesce"], params["quiesce_least"]),
        transports=tuple(params["transport"]),
        allow_partial=params["allow_partial"],
        proxy_vm=params["proxy_vm"],
        vddk_libdir=params["vddk_libdir"],
        vddk_modes=tuple(params["vddk_modes"]),
        foresee=module.check_mode,
        **_wish(module),
    )


def _count(chunks: int) -> int:
    if chunks < 0:
        raise InvalidRequest(
            f"self_check cannot be {chunks}", expected="a number of chunks, or 0 for none"
        )
    return chunks


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str"},
            "vm": {"type": "str"},
            "disks": {"type": "list", "elements": "str", "default": []},
            "exclude_disks": {"type": "list", "elements": "str", "default": []},
            "allow_partial": {"type": "bool", "default": False},
            "quiesce": {"type": "str", "choices": list(LEVELS), "default": LEVELS[0]},
            "quiesce_least": {"type": "str", "choices": list(LEVELS)},
            "transport": {
                "type": "list",
                "elements": "str",
                "choices": list(NAMES),
                "default": list(NAMES),
            },
            "proxy_vm": {"type": "str"},
            "vddk_libdir": {"type": "path"},
            "vddk_modes": {
                "type": "list",
                "elements": "str",
                "choices": list(VDDK_MODES),
                "default": list(VDDK_DEFAULT),
            },
            **REQUIRED_REPOSITORY_SPEC,
            "name": {"type": "str"},
            "max_age": {"type": "str"},
            "mode": {
                "type": "str",
                "choices": ["auto", "full", "incremental"],
                "default": "auto",
            },
            "changes": {"type": "str", "choices": ["auto", "scan"], "default": "auto"},
            "self_check": {"type": "int", "default": SELF_CHECK},
            "retain": {"type": "str"},
            "retain_mode": {
                "type": "str",
                "choices": ["compliance", "governance"],
                "default": "compliance",
            },
            "workers": {"type": "int"},
            "memory_limit": {"type": "str", "default": "512M"},
        },
        mutually_exclusive=[("path", "vm")],
        required_one_of=[("path", "vm")],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
