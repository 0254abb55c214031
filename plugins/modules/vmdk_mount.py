#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_mount
short_description: Use a volume of a disk, or a whole guest, as a directory
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Mounts a file system inside a disk. The disk may be a VMDK of any type, a raw file, a block
    device, an NBD server, a managed disk, or lie in a restore point, which is not restored for
    that.
  - Partitions, logical volumes and LUKS are read by this collection itself; the kernel sees nothing
    but the file system. Plain pieces of flat disks go through a loop device. Anything else is
    served by a small process as files (FUSE), with a loop device over each. The process runs until
    all is unmounted.
  - Unmounting leaves no process, loop device or directory behind. What a killed job or a crashed
    process left is cleaned up by the next run of this module.
  - As long as a disk is mounted, nothing else of this collection writes to it, and while it is
    mounted for writing, nothing else opens it.
  - Mounting a file system means that the kernel of this host parses it. For disks of strangers
    there is O(isolation=appliance).
requirements:
  - root, and loop devices; without root, one volume can be mounted read-only, with C(fuse2fs) for
    ext2 to ext4, or C(squashfuse)
  - mfusepy (Python library) and C(fuse3), but not for flat disks and block devices
  - C(ntfs-3g) for NTFS, C(exfat-fuse) for exFAT, C(fuseiso) for ISO 9660, and C(fusefat) to read
    FAT, where the kernel has no driver
  - cryptography (Python library), but only for LUKS
  - C(guestmount) of libguestfs, but only for O(isolation=appliance)
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk, as a disk reference. C(/srv/vm/web01.vmdk) is a VMDK with its whole chain,
        C(/srv/vm/web01.img) and C(/dev/sdb) are raw, C(nbd://host:10809/web01) is served by
        somebody, C([datastore1] web01/web01.vmdk) is on a datastore of vSphere, and
        C(web01@latest) is a disk in a restore point of O(repository).
      - Managed disks are read through the datastore, while no machine runs from them. A disk that
        M(vdisk.lifecycle.vmdk_attach) has attached to this machine is a block device of it, and can
        be written, too.
      - Needed with O(state=mounted).
    type: str
  disks:
    description:
      - Further disks of the same machine, as O(path). Volume groups may lie over all of them, and
        O(layout=guest) looks for volumes on all of them, in this order.
    type: list
    elements: str
    default: []
  mount_point:
    description:
      - The directory. It is made if it is missing, and removed again when it is unmounted if it was
        made so.
    type: path
    required: true
  volume:
    description:
      - Which volume, by its number, label or uuid, or by its name. V(vg0/root) is a logical volume,
        V(luks-0d8a8f0e-58a6-4b7d-a4b7-0e2f6a1c7d11) what is inside of LUKS, and V(disk1/2) the
        second partition of the first disk in O(disks). See
        RV(vdisk.lifecycle.vmdk_info#module:disk.partitions).
      - Needed if there is more than one that can be mounted. With O(layout=guest) it names the root
        of the guest, if more than one could be it.
    type: str
  subvolume:
    description:
      - The subvolume of Btrfs, such as V(@home). The default is the one that the file system has as
        its default.
    type: str
  luks_key_file:
    description:
      - A file on the host that runs the module, with the passphrase or the key of encrypted
        volumes. Every LUKS volume that it opens is looked into.
    type: path
  layout:
    description:
      - With V(volume), one volume is mounted.
      - With V(guest), the root of the guest is found, and what its own C(/etc/fstab) says is
        mounted inside of it, C(/boot) and C(/var) and so on, as if it had started. Volumes are
        found by C(UUID=), C(LABEL=), C(PARTUUID=), C(PARTLABEL=), C(/dev/mapper), C(/dev/VG/LV) and
        by names as C(/dev/sda2), with C(subvol=) of Btrfs. Swap, network shares, C(tmpfs), bind
        mounts and what is C(noauto) are passed over. Symbolic links lead nowhere but into the
        guest.
      - What the guest could not start without, and is not there, is a warning. With
        O(read_only=false) it is an error, since what belongs there would be written to the root.
    type: str
    choices:
      - volume
      - guest
    default: volume
  read_only:
    description:
      - Mount without any right to write. Not one byte of the disk changes then, not even to replay
        a journal.
      - With V(false), FAT needs the driver of the kernel, since C(fusefat) loses writes. Without
        it, a C(/boot/efi) of O(layout=guest) is mounted read-only, with a warning.
      - Writes to a restore point never change it; they are kept beside it and forgotten when it is
        unmounted.
    type: bool
    default: true
  transaction:
    description:
      - Keep what is written beside the disk, which is not changed, until O(state=committed) puts it
        into the disk or O(state=discarded) forgets it. A transaction outlives unmounting, and also
        a restart of the host; mount it again with this option to go on with it.
      - While it is pending, all that reads the disk finds it as it was before, and nothing of this
        collection changes it. A commit is all or nothing, for all O(disks); if it was cut off, the
        next run of this module for that disk finishes it.
      - It is there to be written to, whatever O(read_only) says.
    type: bool
    default: false
  overlay:
    description:
      - The file where a transaction keeps what is written; the folder must be there. Further disks
        have theirs beside it, with C(.1), C(.2) and so on behind the name.
      - If you do not say, it lies beside the disk, and below C(/var/lib/vdisk-lifecycle) for block
        devices and NBD servers. It is sparse, and may grow as large as what is written. A
        transaction of which a write has failed, because there was no room, can only be discarded.
    type: path
  facts:
    description:
      - Also tell what system is on the volume, with its packages, users and services, in
        RV(guest). It is read from files, and links in them lead nowhere but into the volume.
      - Packages are known to C(dpkg), C(rpm) and C(apk). Of passwords only whether there is one is
        told.
    type: bool
    default: false
  changes:
    description:
      - Also tell what the transaction changes, or has changed, in RV(changes). For that, the disk
        as it was is mounted read-only beside it for a moment.
      - With O(state=committed) they are told in diff mode, too, as far as that can be done.
    type: bool
    default: false
  lost:
    description:
      - Ranges of the disk that are not to be relied on, such as
        RV(vdisk.lifecycle.vmdk_check#module:salvaged.lost). Reading a file that lies there fails,
        where it would give zeros otherwise. Only with O(read_only=true).
    type: list
    elements: dict
    default: []
    suboptions:
      offset:
        description: First byte of the range.
        type: int
        required: true
      length:
        description: Bytes of it.
        type: int
        required: true
  isolation:
    description:
      - Who parses the file system. V(host) is the kernel of this host, or a FUSE program.
        V(appliance) is the kernel of a small virtual machine (libguestfs), which is slow to start;
        an image made to harm its reader harms that machine, not this host.
      - One volume can be mounted so, not O(layout=guest).
    type: str
    choices:
      - host
      - appliance
    default: host
  state:
    description:
      - V(mounted) mounts the volume, V(unmounted) unmounts what is mounted at O(mount_point).
      - V(committed) and V(discarded) unmount it, and end its transaction. O(path) and O(disks) say
        which, where nothing is mounted any more.
    type: str
    choices:
      - mounted
      - unmounted
      - committed
      - discarded
    default: mounted
seealso:
  - module: vdisk.lifecycle.vmdk_info
  - module: vdisk.lifecycle.vmdk_restore
"""

EXAMPLES = r"""
- name: Look into a disk
  vdisk.lifecycle.vmdk_mount:
    path: /srv/vm/web01.vmdk
    mount_point: /mnt/web01

- name: Get one file back from last night
  vdisk.lifecycle.vmdk_mount:
    path: web01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    volume: root
    mount_point: /mnt/last-night

- name: Copy it
  ansible.builtin.copy:
    src: /mnt/last-night/etc/app.conf
    dest: /tmp/app.conf
    remote_src: true
    mode: "0600"

- name: What system is that?
  vdisk.lifecycle.vmdk_mount:
    path: web01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    mount_point: /mnt/last-night
    volume: root
    facts: true
  register: mounted

- name: Done with it
  vdisk.lifecycle.vmdk_mount:
    mount_point: /mnt/last-night
    state: unmounted

- name: Mount a whole guest, to change it and think again
  vdisk.lifecycle.vmdk_mount:
    path: /srv/vm/golden.vmdk
    mount_point: /mnt/golden
    layout: guest
    transaction: true

- name: Change it
  ansible.builtin.lineinfile:
    path: /mnt/golden/etc/app.conf
    regexp: ^port
    line: port = 8443

- name: It was right
  vdisk.lifecycle.vmdk_mount:
    mount_point: /mnt/golden
    state: committed
    changes: true
  register: committed
"""

RETURN = r"""
mount:
  description: What is mounted. In check mode, what would be.
  returned: when O(state=mounted)
  type: dict
  contains:
    path:
      description: The disk.
      type: str
      sample: web01@latest
    mount_point:
      description: The directory.
      type: str
      sample: /mnt/last-night
    read_only:
      description: Whether nothing can be written.
      type: bool
      sample: true
    volume:
      description:
        - The volume, as in RV(vdisk.lifecycle.vmdk_info#module:disk.partitions); the root with
          O(layout=guest), V(null) as long as that was not mounted.
      type: dict
      sample: {number: 1, name: null, type: Linux filesystem, fs: ext4, label: root,
        uuid: 0d8a8f0e-58a6-4b7d-a4b7-0e2f6a1c7d11, start: 1048576, size: 10735304192}
    volumes:
      description: All that is mounted, with C(mount_point), the root first.
      type: list
      elements: dict
      sample:
        - {number: 1, name: null, type: Linux filesystem, fs: ext4, label: root,
          uuid: 0d8a8f0e-58a6-4b7d-a4b7-0e2f6a1c7d11, start: 1048576, size: 10735304192,
          mount_point: /mnt/last-night}
    transaction:
      description: C(overlay), C(since) and C(state) of the transaction, V(null) without one.
      type: dict
      sample: null
guest:
  description:
    - What can be told of the system that is mounted, by reading its files. Nothing of it is run.
    - C(id), C(name), C(version), C(family), C(hostname), C(machine_id), C(timezone),
      C(architecture), C(kernels), C(package_manager) and C(last_boot) are V(null) where nobody can
      tell. C(services) are those that are enabled. C(problems) says in words what could not be
      read.
    - Of a Windows, which is told from its registry, C(packages) are the installed programs, and
      C(windows) holds C(edition), C(release), C(build), C(installed), C(last_shutdown), and in
      C(services) how each of them starts. It is V(null) for others.
  returned: when O(facts=true), not in check mode unless it is mounted already
  type: dict
  sample:
    id: debian
    name: Debian GNU/Linux 12 (bookworm)
    version: "12"
    family: debian
    hostname: web01
    machine_id: 4c1f5d0e8a7b4f0c9d3e2a1b0c9d8e7f
    timezone: Europe/Vienna
    architecture: x86_64
    kernels: [6.1.0-37-amd64]
    package_manager: apt
    last_boot: "2026-11-21T04:05:06Z"
    users:
      - {name: root, uid: 0, gid: 0, home: /root, shell: /bin/bash, password: set}
    services: [cron.service, ssh.service]
    packages:
      - {name: apt, version: 2.6.1, arch: amd64, manager: dpkg, source: ""}
    windows: null
    problems: []
transaction:
  description: The transaction that has ended; V(null) if there was none.
  returned: when O(state=committed) or O(state=discarded)
  type: dict
  sample:
    overlay: /srv/vm/golden.vmdk.vdisk-overlay
    since: "2026-11-23T16:20:00Z"
    state: committed
changes:
  description:
    - What a transaction changes. At most 1000 files of each kind are named; C(more) tells how many
      there are besides.
  returned: when O(changes=true), and there is a transaction
  type: dict
  sample:
    packages: {added: [], removed: [], changed: []}
    files:
      added: []
      removed: []
      changed: [/etc/app.conf]
      more: {added: 0, removed: 0, changed: 0}
      problems: []
swept:
  description: Mount points of dead mounts that were cleaned up on the way.
  returned: when O(state=mounted) or O(state=unmounted)
  type: list
  elements: str
  sample: []
"""

import dataclasses

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.mount_disk import (
    MountJob,
    plan_mounted,
    plan_unmounted,
    transact_job,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transact_disk import (
    plan_committed,
    plan_discarded,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REPOSITORY_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)

RANGE = {
    "offset": {"type": "int", "required": True},
    "length": {"type": "int", "required": True},
}
OPTIONS = {
    "path": {"type": "str"},
    "disks": {"type": "list", "elements": "str", "default": []},
    "mount_point": {"type": "path", "required": True},
    "volume": {"type": "str"},
    "subvolume": {"type": "str"},
    "luks_key_file": {"type": "path", "no_log": False},
    "layout": {"type": "str", "choices": ["volume", "guest"], "default": "volume"},
    "read_only": {"type": "bool", "default": True},
    "transaction": {"type": "bool", "default": False},
    "overlay": {"type": "path"},
    "facts": {"type": "bool", "default": False},
    "changes": {"type": "bool", "default": False},
    "lost": {"type": "list", "elements": "dict", "options": RANGE, "default": []},
    "isolation": {"type": "str", "choices": ["host", "appliance"], "default": "host"},
}
STATES = ["mounted", "unmounted", "committed", "discarded"]


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    if params["state"] == "unmounted":
        return plan_unmounted(params["mount_point"])
    wanted = {name: params[name] for name in OPTIONS}
    lists = {
        "disks": tuple(params["disks"]),
        "lost": tuple((each["offset"], each["length"]) for each in params["lost"]),
    }
    job = MountJob(**{**wanted, **lists, "access": module.access})
    if params["state"] == "mounted":
        return plan_mounted(job)
    # A diff of what a commit does is the changes.
    ending = transact_job(job, [job.path, *job.disks] if job.path else [])
    ending = dataclasses.replace(ending, diff=module._diff, progress=module.progress)
    return plan_committed(ending) if params["state"] == "committed" else plan_discarded(ending)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            **OPTIONS,
            "state": {"type": "str", "choices": STATES, "default": "mounted"},
        },
        required_if=[("state", "mounted", ["path"])],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
