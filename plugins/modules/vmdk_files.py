#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_files
short_description: Take files out of a mounted disk
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Copies files and folders out of a folder where M(vdisk.lifecycle.vmdk_mount) has mounted a disk,
    with owners, modes, times, access lists, attributes, hard links and holes.
  - Nothing in the disk can lead a write to another place than O(dest). No link is followed, on
    either side, and links that lead out are left out. Devices, pipes and sockets are left out.
  - What is there already is compared byte for byte. A file appears at its place when it is whole.
  - A file that cannot be read, as those of a damaged disk, is reported in RV(files.unreadable) and
    keeps no other from being copied. Check mode does not read all of what is not there yet, so it
    cannot foresee them.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
options:
  src:
    description:
      - The folder that holds the disk's files, usually a mount point of
        M(vdisk.lifecycle.vmdk_mount).
    type: path
    required: true
  dest:
    description:
      - The folder on the same host that the files come to, below which they keep their paths. It is
        made if it is missing.
    type: path
    required: true
  paths:
    description:
      - What to take, as paths in the disk. Each part may be a pattern, as in V(/home/*/.ssh), and
        V(**) stands for any folders, as in V(/var/**/*.conf). What is below a folder that is taken
        is taken too.
      - It is an error if there is nothing that one of them means.
    type: list
    elements: str
    default: [/]
  exclude:
    description:
      - What not to take, as in O(paths).
    type: list
    elements: str
    default: []
  conflict:
    description:
      - What to do about a file that is there already and differs. V(keep) leaves it and reports it
        in RV(files.skipped), V(replace) replaces it, and V(rename) puts the one from the disk
        beside it, with the ending C(.restored).
      - A folder that is there is used as it is.
    type: str
    choices:
      - keep
      - replace
      - rename
    default: keep
  keep_owner:
    description:
      - Give files the owner and group that they have in the disk, by number. Otherwise they belong
        to whoever runs the module.
    type: bool
    default: true
  privileged:
    description:
      - Also keep capabilities of programs, and with O(keep_owner=true) their set-user-id and
        set-group-id. Do that only for a disk that you trust as much as this host.
    type: bool
    default: false
  outside_links:
    description:
      - Also take symbolic links that lead out of the disk's files, as all absolute ones do. They
        mean files of this host then, or nothing.
    type: bool
    default: false
  fail_on:
    description:
      - Fail in the end if there is anything of these. All else is copied before. A file that cannot
        be written, as for want of space or of rights, is one of V(unwritten).
    type: list
    elements: str
    choices:
      - skipped
      - unreadable
      - unwritten
    default: [unreadable, unwritten]
seealso:
  - module: vdisk.lifecycle.vmdk_mount
  - ref: ansible_collections.vdisk.lifecycle.restore_files_role
    description: The role that mounts a restore point, takes files out and unmounts it.
"""

EXAMPLES = r"""
- name: Mount last night
  vdisk.lifecycle.vmdk_mount:
    path: web01@latest
    repository: /srv/backup
    mount_point: /mnt/last-night

- name: Get the configuration back, to look at it
  vdisk.lifecycle.vmdk_files:
    src: /mnt/last-night
    dest: /srv/restored
    paths: [/etc/*.conf]

- name: Put it beside what is there
  vdisk.lifecycle.vmdk_files:
    src: /mnt/last-night
    dest: /srv/restored
    paths: [/etc]
    conflict: rename

- name: Done with it
  vdisk.lifecycle.vmdk_mount:
    mount_point: /mnt/last-night
    state: unmounted
"""

RETURN = r"""
files:
  description: What was done, and what was not. In check mode, what would be.
  returned: success
  type: dict
  contains:
    restored:
      description:
        - The first thousand of what was put down. C(action) is V(folder), V(file), V(link),
          V(replaced), V(renamed) or V(attributes).
      type: list
      elements: dict
      sample: [{path: /etc/app.conf, action: file, size: 11}]
    skipped:
      description: The first thousand of what was left out, and why.
      type: list
      elements: dict
      sample: [{path: /etc/mtab, reason: "a link that leads out, to '/proc/mounts'"}]
    unreadable:
      description: What the disk does not give, and why.
      type: list
      elements: dict
      sample: [{path: /var/lib/db, reason: Input/output error at byte 1048576 or soon after}]
    unwritten:
      description: The first thousand of what could not be put down, and why.
      type: list
      elements: dict
      sample: [{path: /var/lib/image, reason: No space left on device}]
    count:
      description: How many of each there are; C(equal) are those that were there already.
      type: dict
      sample: {restored: 2, skipped: 1, unreadable: 1, unwritten: 1, equal: 0}
    bytes:
      description: Bytes of all files that were copied.
      type: int
      sample: 11
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.restore_files import (
    FilesRequest,
    plan_files,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import VmdkModule


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    return plan_files(
        FilesRequest(
            src=params["src"],
            dest=params["dest"],
            paths=params["paths"],
            exclude=params["exclude"],
            conflict=params["conflict"],
            keep_owner=params["keep_owner"],
            privileged=params["privileged"],
            outside_links=params["outside_links"],
            fail_on=params["fail_on"],
            progress=module.progress,
        )
    )


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "paths": {"type": "list", "elements": "str", "default": ["/"]},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "conflict": {
                "type": "str",
                "choices": ["keep", "replace", "rename"],
                "default": "keep",
            },
            "keep_owner": {"type": "bool", "default": True},
            "privileged": {"type": "bool", "default": False},
            "outside_links": {"type": "bool", "default": False},
            "fail_on": {
                "type": "list",
                "elements": "str",
                "choices": ["skipped", "unreadable", "unwritten"],
                "default": ["unreadable", "unwritten"],
            },
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
