#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_backup_info
short_description: Restore points of a repository
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Lists the restore points of a repository with their sizes and lineage, the oldest first.
  - A restore point whose description is damaged does not hide the others; it is listed under
    RV(problems).
extends_documentation_fragment:
  - vdisk.lifecycle.attributes.info
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
options:
  repository:
    required: true
  sizes:
    description:
      - Also tell how much of the repository each restore point has for itself and how much it
        shares, to the byte. That takes longer, most of all the first time on a host.
    type: bool
    default: false
  source:
    description:
      - List only restore points of this disk or virtual machine. A disk goes by the name of its
        file without C(.vmdk).
    type: str
    aliases:
      - vm
notes:
  - What a host has learnt about a repository it keeps in a folder, so that this takes a moment
    even with thousands of restore points, and so that a backup knows at once what is stored. The
    folder is E(VDISK_CACHE), else C(vdisk.lifecycle) in E(XDG_CACHE_HOME) or C(~/.cache). It may be
    deleted at any time. Where the repository is encrypted, names and paths in it are, too.
seealso:
  - module: vdisk.lifecycle.vmdk_backup
  - module: vdisk.lifecycle.vmdk_restore
"""

EXAMPLES = r"""
- name: What is there to restore?
  vdisk.lifecycle.vmdk_backup_info:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
  register: backups

- name: Stop if the newest is older than a day
  ansible.builtin.assert:
    that: (now(utc=true) - newest).total_seconds() < 24 * 3600
  vars:
    newest: "{{ backups.restore_points[-1].created | to_datetime('%Y-%m-%dT%H:%M:%SZ') }}"

- name: What does each restore point take, and what would come free without it?
  vdisk.lifecycle.vmdk_backup_info:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    source: web01
    sizes: true
"""

RETURN = r"""
restore_points:
  description: The restore points, the oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Unique in the repository, for good.
      type: str
      sample: 20261122T020000Z-3f9a2c1b
    name:
      description: The name it was given, or its id.
      type: str
      sample: before-upgrade
    created:
      description: When, in UTC.
      type: str
      sample: "2026-11-22T02:00:00Z"
    source:
      description: What was backed up.
      type: dict
      sample: {kind: disk, name: web01, path: /srv/vm/web01.vmdk}
    configuration:
      description: That it also holds the configuration of the virtual machine.
      returned: of virtual machines
      type: bool
      sample: true
    disks:
      description: Its disks; O(vdisk.lifecycle.vmdk_restore#module:restore_point) takes their
        names.
      type: list
      elements: dict
      sample:
        - key: null
          name: disk0
          label: web01.vmdk
          size: 10737418240
          method: changed
          reason: what changed since 20261121T020000Z-77ab01c9
          bytes_read: 88080384
          bytes_new: 20971520
          digest_id: blake3:5d0c6f2f5a94e7c1
    size:
      description: Bytes of its disks.
      type: int
      sample: 10737418240
    added:
      description: Bytes by which the repository grew when it was made.
      type: int
      sample: 9437184
    seconds:
      description: How long the backup took. V(null) for points of early versions.
      type: int
      sample: 14
    unique:
      description: Bytes of the repository that no other restore point needs. Only these come free
        if it is dropped.
      returned: O(sizes=true)
      type: int
      sample: 5242880
    shared:
      description: Bytes of the repository that it needs, and others too.
      returned: O(sizes=true)
      type: int
      sample: 697303040
    logical:
      description: Bytes of its disks, as RV(restore_points[].size).
      returned: O(sizes=true)
      type: int
      sample: 10737418240
    repository:
      description: Where it is.
      type: str
      sample: /srv/backup
problems:
  description: Restore points that cannot be read, and why. Empty is good.
  returned: success
  type: list
  elements: str
  sample: []
sizes:
  description: How much the repository holds, in bytes.
  returned: success
  type: dict
  contains:
    points:
      description: How many restore points the whole repository holds, unreadable ones too.
      type: int
      sample: 2
    damaged_points:
      description: How many of them cannot be read.
      type: int
      sample: 0
    sources:
      description: Of how many disks or virtual machines they are.
      type: int
      sample: 1
    packs:
      description: The number of its packs, the files that hold content.
      type: int
      sample: 12
    logical:
      description: The sizes of all disks of all restore points of the repository added up.
      type: int
      sample: 21474836480
    stored:
      description: What the packs of the repository take. More than RV(sizes.unique) and
        RV(sizes.shared) together, if it holds what no restore point needs any more.
      type: int
      sample: 702545920
    unique:
      description: What just one restore point needs, added up.
      returned: O(sizes=true)
      type: int
      sample: 10485760
    shared:
      description: What several restore points need, counted once.
      returned: O(sizes=true)
      type: int
      sample: 692060160
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.list_points import list_points
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import (
    Plan,
    Result,
    nothing_to_do,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    REQUIRED_REPOSITORY_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Reading is all there is to do."""
    return nothing_to_do({}, _list(module))


def _list(module: VmdkModule) -> Result:
    source, sizes = module.params["source"], module.params["sizes"]
    return list_points(module.access, source, sizes=sizes)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REQUIRED_REPOSITORY_SPEC,
            "source": {"type": "str", "aliases": ["vm"]},
            "sizes": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
