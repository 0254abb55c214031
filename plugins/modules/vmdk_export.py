#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_export
short_description: Serve a disk over NBD
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Serves any disk over the NBD protocol, which C(qemu), C(qemu-img), C(nbdcopy), C(nbd-client) and
    the other modules of this collection understand. The disk may be a VMDK of any type with its
    whole chain, a raw file, a block device, a managed disk, or lie in a restore point, which is
    not restored for that. So a lost machine runs again at once, from its backup.
  - A small process of this collection serves it until O(state=stopped), or until the host is
    switched off; nothing is started again after that.
  - Clients are told which parts of the disk are holes, and may use several connections.
  - Nobody is asked who he is, but with O(tls_verify_clients=true). A socket is for its owner alone,
    the user who runs the module; another one needs to be given the right to it.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
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
      - Needed with O(state=started).
    type: str
  socket:
    description:
      - The Unix socket to make. A place below C(/run) is best, since that is emptied when the host
        starts. A socket that is there already and is not ours is never removed.
      - Either this or O(port) is needed.
    type: path
  port:
    description:
      - The TCP port to listen on; that of NBD is V(10809).
      - This is not the port of the vCenter, as it is in other modules. That one can be written
        behind its name, C(vcenter:8443).
    type: int
    default: null
  address:
    description:
      - The address to listen on, with O(port). On any but this host's own, V(127.0.0.1) or V(::1),
        everybody who reaches it can read the disk, if not for O(tls_verify_clients).
    type: str
    default: 127.0.0.1
  name:
    description:
      - The name of the export. Clients that ask for none get it as well.
    type: str
    default: ''
  read_only:
    description:
      - Whether clients cannot write. Then other readers may open the disk at the same time.
      - Writes to a restore point never change it. They are kept beside it, in the folder for
        temporary files, and forgotten when the export is stopped.
      - The content of managed disks cannot be written here.
    type: bool
    default: true
  tls_certificates:
    description:
      - A folder with C(server-cert.pem) and C(server-key.pem), as C(nbdkit) and C(qemu-nbd) use it.
        Clients have to use TLS then.
    type: path
  tls_verify_clients:
    description:
      - Let in only those clients that show a certificate which C(ca-cert.pem) in
        O(tls_certificates) has signed.
    type: bool
    default: false
  state:
    description:
      - V(started) serves the disk, V(stopped) stops what is served at O(socket), or at O(port) of
        O(address). Clients are cut off, once the request that they wait for is answered.
    type: str
    choices:
      - started
      - stopped
    default: started
seealso:
  - module: vdisk.lifecycle.vmdk_mount
  - module: vdisk.lifecycle.vmdk_restore
"""

EXAMPLES = r"""
- name: Serve last night's disk, to start a machine from it
  vdisk.lifecycle.vmdk_export:
    path: web01@latest
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    socket: /run/web01.sock
    read_only: false
  register: served

- name: Is all of it there?
  ansible.builtin.command:
    argv: [qemu-img, info, "{{ served.export.uri }}"]
  changed_when: false

- name: Done with it; what the machine wrote is forgotten
  vdisk.lifecycle.vmdk_export:
    socket: /run/web01.sock
    state: stopped

- name: Serve a disk to this host, for clients that know no Unix sockets
  vdisk.lifecycle.vmdk_export:
    path: /srv/vm/web01.vmdk
    port: 10809
    name: web01

- name: Copy it as any other disk
  vdisk.lifecycle.vmdk_clone:
    src: nbd://127.0.0.1:10809/web01
    dest: /srv/archive/web01.vmdk
    disk_type: streamOptimized

- name: Done with that, too
  vdisk.lifecycle.vmdk_export:
    port: 10809
    state: stopped
"""

RETURN = r"""
export:
  description: What is served. In check mode, what would be.
  returned: when O(state=started)
  type: dict
  contains:
    uri:
      description: Where clients find it.
      type: str
      sample: nbd+unix:///?socket=/run/web01.sock
    path:
      description: The disk.
      type: str
      sample: web01@latest
    name:
      description: The name of the export.
      type: str
      sample: ''
    read_only:
      description: Whether clients cannot write.
      type: bool
      sample: false
    socket:
      description: The Unix socket, if it is one.
      type: str
      sample: /run/web01.sock
    address:
      description: The address that is listened on, if it is no socket.
      type: str
      sample: null
    port:
      description: The TCP port, if it is no socket.
      type: int
      sample: null
    tls:
      description: Whether clients have to use TLS.
      type: bool
      sample: false
    pid:
      description: The process that serves it; null in check mode.
      type: int
      sample: 4711
disk:
  description: The disk before it was served, as M(vdisk.lifecycle.vmdk_info) describes it.
  returned: when O(state=started)
  type: dict
  sample:
    path: web01@20261122T020000Z-5b1f
    disk_type: restore point
    size: 10737418240
"""

import dataclasses
import os

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.export_disk import (
    ExportJob,
    ExportPlace,
    plan_started,
    plan_stopped,
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
    place = ExportPlace(params["socket"], params["address"], params["port"])
    if params["state"] == "stopped":
        return plan_stopped(place)
    return plan_started(
        ExportJob(
            path=params["path"],
            place=place,
            access=access_of(module),
            read_only=params["read_only"],
            name=params["name"],
            tls_certificates=params["tls_certificates"],
            tls_verify_clients=params["tls_verify_clients"],
        )
    )


def access_of(module: VmdkModule) -> Access:
    """The option port is not that of the vCenter here."""
    vcenter_port = int(os.environ.get("VMWARE_PORT") or VSPHERE_SPEC["port"]["default"])
    access = module.access
    return dataclasses.replace(access, vsphere={**access.vsphere, "port": vcenter_port})


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str"},
            "socket": {"type": "path"},
            "port": {"type": "int"},
            "address": {"type": "str", "default": "127.0.0.1"},
            "name": {"type": "str", "default": ""},
            "read_only": {"type": "bool", "default": True},
            "tls_certificates": {"type": "path"},
            "tls_verify_clients": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
        },
        required_if=[
            ("state", "started", ["path"]),
            ("tls_verify_clients", True, ["tls_certificates"]),
        ],
        required_one_of=[("socket", "port")],
        mutually_exclusive=[("socket", "port")],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
