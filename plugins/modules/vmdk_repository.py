#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_repository
short_description: Create or delete a backup repository
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes sure that there is a backup repository. Any number of disks and hosts share one; what they
    have in common is stored once.
  - The format is open and documented in C(docs/repository-format.md); C(docs/restore.py) restores
    from it without this collection.
requirements:
  - zstandard, blake3 and cryptography (Python libraries on the host that runs the module)
  - obstore, for a repository in an object store
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
options:
  url:
    description:
      - The folder of the repository. It is made if it is missing; one with other things in it is
        refused.
      - Or a place in an object store, V(s3://bucket/prefix), V(gs://bucket/prefix) or
        V(az://container/prefix). The bucket must be there. Credentials come from the environment;
        see C(docs/object-stores.md).
    type: str
    required: true
  passphrase:
    description:
      - Opens the repository. Needed unless O(encryption=none).
      - Whoever loses it loses the backups. Keep it apart from the repository.
      - If not given, the environment variable E(VDISK_PASSPHRASE) of the host that runs the module
        is used.
    type: str
  encryption:
    description:
      - How content and descriptions are encrypted. Cannot be changed later.
    type: str
    choices:
      - aes-256-gcm
      - none
    default: aes-256-gcm
  chunk_size:
    description:
      - The unit of deduplication, from V(256KiB) to V(4MiB), a power of two. Cannot be changed
        later.
      - Smaller chunks store less of a disk with many small changes and cost more time.
    type: str
    default: 1MiB
  state:
    description:
      - V(present) creates the repository.
      - V(absent) deletes it, provided that it holds no restore points.
    type: str
    choices:
      - present
      - absent
    default: present
seealso:
  - module: vdisk.lifecycle.vmdk_backup
  - module: vdisk.lifecycle.vmdk_backup_info
"""

EXAMPLES = r"""
- name: A place for backups
  vdisk.lifecycle.vmdk_repository:
    url: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
"""

RETURN = r"""
repository:
  description: The repository.
  returned: when O(state=present)
  type: dict
  contains:
    url:
      description: Where it is.
      type: str
      sample: /srv/backup
    id:
      description: What tells it from others, for good.
      type: str
      sample: 3b0a51c2-1f38-4c8e-9d0e-8a7f5f0e2b44
    format:
      description: Version of the format on disk.
      type: int
      sample: 1
    encryption:
      description: How it is encrypted.
      type: str
      sample: aes-256-gcm
    chunk_size:
      description: The unit of deduplication, in bytes.
      type: int
      sample: 1048576
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_size
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.provide_repository import (
    RepositoryRequest,
    plan_absent,
    plan_present,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    REPOSITORY_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = RepositoryRequest(
        url=params["url"],
        passphrase=params["passphrase"],
        encryption=params["encryption"],
        chunk_size=parse_size(params["chunk_size"], "chunk_size"),
    )
    return plan_present(request) if params["state"] == "present" else plan_absent(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "passphrase": REPOSITORY_SPEC["passphrase"],
            "encryption": {
                "type": "str",
                "choices": ["aes-256-gcm", "none"],
                "default": "aes-256-gcm",
            },
            "chunk_size": {"type": "str", "default": "1MiB"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
