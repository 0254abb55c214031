#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_share
short_description: Run machines from a restore point at once, over NFS
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Serves the disks of a restore point as an NFS 4.1 datastore, which ESXi mounts. Each disk is
    there with its descriptor, as if it had been restored, and a machine can be started from it
    within seconds. Nothing is restored for that, chunks are read when they are asked for.
  - What machines write is kept in O(folder), and never changes the restore point. It is there again
    when the same point is shared from the same folder later, also after the host has crashed.
  - To keep the machine, move it to another datastore while it runs (Storage vMotion), and then
    discard the share. To be rid of it, delete the machine, and discard the share.
  - NFS-Ganesha serves it, and ends with the small process of this collection that watches over it.
    After the host was started anew, run the task again.
requirements:
  - NFS-Ganesha with its VFS module (on Debian, the packages nfs-ganesha and nfs-ganesha-vfs)
  - libfuse 3 and mfusepy (Python library)
  - the right to mount, so usually C(become)
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
options:
  path:
    description:
      - The restore point, as in C(web01@latest), with all its disks; or one of them, as in
        C(web01@latest#scsi0:0).
      - Needed with O(state=started).
    type: str
  folder:
    description:
      - A folder of this host that is not there yet, is empty, or was made by this module. Only the
        user of the task may be able to write there. What machines write is kept there, so it needs
        room for that.
    type: path
    required: true
  clients:
    description:
      - Who may mount it, as addresses and networks. C(192.0.2.11) and C(192.0.2.0/28) are examples.
        NFS has no other guard, so name the ESXi hosts and nobody else. On any other client, each of
        its users can read and write the disks.
      - Needed with O(state=started).
    type: list
    elements: str
  address:
    description:
      - The IP address to listen on.
    type: str
    default: 0.0.0.0
  port:
    description:
      - The TCP port to listen on. ESXi mounts V(2049) only.
    type: int
    default: 2049
  state:
    description:
      - V(started) serves the restore point.
      - V(stopped) ends that, and keeps what was written.
      - V(discarded) ends that, and deletes O(folder) with all that was written.
    type: str
    choices:
      - started
      - stopped
      - discarded
    default: started
seealso:
  - module: vdisk.lifecycle.vmdk_export
    description: The same over NBD, for QEMU and other programs of Linux.
  - module: vdisk.lifecycle.vmdk_restore
"""

EXAMPLES = r"""
- name: The machine that was lost is a datastore now
  vdisk.lifecycle.vmdk_share:
    path: web01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    folder: /srv/instant/web01
    clients: [127.0.0.1]
  register: shared

- name: Where it is
  ansible.builtin.debug:
    msg: >-
      {{ shared.share.remote_path }} on port {{ shared.share.port }}:
      {{ shared.share.disks | map(attribute='file') | join(', ') }}

- name: The machine has moved to another datastore, so nothing here is needed any more
  vdisk.lifecycle.vmdk_share:
    folder: /srv/instant/web01
    state: discarded
"""

RETURN = r"""
share:
  description: What is served. In check mode, what would be.
  returned: when O(state=started)
  type: dict
  contains:
    path:
      description: The restore point.
      type: str
      sample: web01@latest
    folder:
      description: Where on this host machines write to.
      type: str
      sample: /srv/instant/web01
    address:
      description: The address that is listened on.
      type: str
      sample: 0.0.0.0
    port:
      description: The TCP port.
      type: int
      sample: 2049
    remote_path:
      description: What to mount.
      type: str
      sample: /vdisk
    clients:
      description: Who may.
      type: list
      elements: str
      sample: [192.0.2.11]
    disks:
      description: The disks, each with the file in which its descriptor is, and its size in bytes.
      type: list
      elements: dict
      sample:
        - name: disk0
          file: web01.vmdk
          size: 10737418240
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.share.ganesha import Listen
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.share_point import (
    ShareJob,
    plan_shared,
    plan_unshared,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    REPOSITORY_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    if params["state"] != "started":
        return plan_unshared(params["folder"], discard=params["state"] == "discarded")
    listen = Listen(params["address"], params["port"], params["clients"])
    return plan_shared(ShareJob(params["path"], params["folder"], module.access, listen))


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            "path": {"type": "str"},
            "folder": {"type": "path", "required": True},
            "clients": {"type": "list", "elements": "str"},
            "address": {"type": "str", "default": "0.0.0.0"},
            "port": {"type": "int", "default": 2049},
            "state": {
                "type": "str",
                "choices": ["started", "stopped", "discarded"],
                "default": "started",
            },
        },
        required_if=[("state", "started", ["path", "clients", "repository"])],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
