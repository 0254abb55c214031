#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_backup
short_description: Back up a disk to a repository
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes a restore point of the disk at O(path) in O(repository). Only chunks that the repository
    does not have yet are stored, compressed and encrypted; every restore point is complete in
    itself.
  - The restore point appears when everything it needs is stored and durable, never before; a killed
    job leaves none.
  - The disk must not be written to meanwhile. It is locked, but a virtual machine of another
    product may not respect that.
requirements:
  - zstandard, blake3 and cryptography (Python libraries on the host that runs the module)
  - obstore for repositories in object stores, and botocore for O(retain) in S3
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
options:
  path:
    description:
      - The disk, as a disk reference. C(/srv/vm/web01.vmdk) is a VMDK with its whole chain;
        C(/srv/vm/web01.img) and C(/dev/sdb) are raw.
    type: str
    required: true
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
      - V(scan) always reads the whole disk. Use it where the times of files cannot be trusted, such
        as on network file systems whose server is written to by others too.
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
seealso:
  - module: vdisk.lifecycle.vmdk_repository
  - module: vdisk.lifecycle.vmdk_restore
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
"""

RETURN = r"""
restore_point:
  description: The restore point that was made, or the one because of which nothing was done.
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
    repository: /srv/backup
    retain_until: "2026-12-22T02:00:00Z"
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
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REQUIRED_REPOSITORY_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    SELF_CHECK,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = BackupRequest(
        path=params["path"],
        name=params["name"],
        max_age=None if params["max_age"] is None else parse_age(params["max_age"], "max_age"),
        mode=params["mode"],
        changes=params["changes"],
        self_check=_count(params["self_check"]),
        retain=None if params["retain"] is None else parse_age(params["retain"], "retain"),
        retain_mode=params["retain_mode"],
        workers=params["workers"],
        memory_limit=parse_size(params["memory_limit"], "memory_limit"),
        access=module.access,
        progress=module.progress,
    )
    return plan_backup(request)


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
            "path": {"type": "str", "required": True},
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
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
