#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_repository
short_description: Create or delete a backup repository, its keys and copies
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes sure that there is a backup repository. Any number of disks and hosts share one; what they
    have in common is stored once.
  - Makes sure that the passphrases and key files that you list open it. Adding, replacing and
    removing keys takes a second and rewrites no backup.
  - Copies restore points to a second repository that may lie elsewhere and have other keys.
  - The format is open and documented in C(docs/repository-format.md); C(docs/restore.py) restores
    from it without this collection.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository_secrets
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
  keys:
    description:
      - The keys that open the repository. One that is there under this name and opens it stays as
        it is; if it does not open it, a new one is made and then the old one removed; a missing one
        is added.
      - The repository is opened with one of these, or with O(passphrase) or O(key_file). A new
        repository gets a key for each of them, those of O(passphrase) and O(key_file) without a
        name.
      - Whoever loses all of them loses the backups. Keep them apart from the repository.
      - A key that was removed opens the repository no more. That does not help against somebody
        who kept a copy of the repository's C(keys) folder, or used the key to find out more; then
        make a new repository.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - What you call the key. Everybody who can see the repository can read it.
        type: str
        required: true
      passphrase:
        description:
          - The passphrase of this key. Either this or O(keys[].key_file) is needed.
        type: str
      key_file:
        description:
          - The key file of this key; see O(key_file).
        type: path
  purge_keys:
    description:
      - Remove all keys that are not listed in O(keys), those without a name too.
    type: bool
    default: false
  master_key_of:
    description:
      - Give a new repository the same master key as another one has, with other passphrases and key
        files if you like.
      - Copies between the two go faster then, because chunks move as they are stored, proven by the
        cipher. In return, whoever has a key of one of them can open the other with what he learned,
        and tell which chunks are in both. To anybody without a key they have nothing in common.
      - Cannot be changed later.
    type: dict
    suboptions: &another
      url:
        description:
          - Where it is.
        type: str
        required: true
      passphrase:
        description:
          - Opens it. If neither this nor a key file is given, what opens O(url) is tried.
        type: str
      key_file:
        description:
          - Opens it instead; see O(key_file).
        type: path
  copy_to:
    description:
      - Another repository, made by a task of its own with the same O(chunk_size), that gets the
        restore points of this one that it does not have. They keep their ids, names, times and
        sources. Holds and locks stay behind.
      - Every chunk is proven on the way. A restore point that cannot be read whole is not copied;
        the others are, and then the task fails and says which.
      - A copy that was interrupted goes on where it was when the task runs again.
    type: dict
    suboptions: *another
  copy_points:
    description:
      - Copy only these restore points and those of O(copy_sources). Written as for
        O(vdisk.lifecycle.vmdk_restore#module:restore_point), such as V(web01@latest).
    type: list
    elements: str
    default: []
  copy_sources:
    description:
      - Copy only the restore points of these disks and O(copy_points). A disk goes by the name of
        its file without C(.vmdk).
    type: list
    elements: str
    default: []
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

- name: A passphrase for people, a key file for the nightly job, and no other way in
  vdisk.lifecycle.vmdk_repository:
    url: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    keys:
      - name: people
        passphrase: "{{ vault_backup_passphrase }}"
      - name: nightly
        key_file: /srv/keys/nightly
    purge_keys: true

- name: A second repository in another place, with its own passphrase
  vdisk.lifecycle.vmdk_repository:
    url: /srv/archive/backup
    passphrase: "{{ vault_backup_passphrase }}"

- name: Copy what is not there yet
  vdisk.lifecycle.vmdk_repository:
    url: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    copy_to:
      url: /srv/archive/backup
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
      sample: 3b0a51c21f384c8e9d0e8a7f5f0e2b44
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
    key_list:
      description: Who opens it, the oldest first. Never a secret. In check mode, what would be; a
        key that is not made yet has no id.
      type: list
      elements: dict
      contains:
        id:
          description: What the repository calls the key.
          type: str
          sample: 0a7fddc22e37eaf0
        name:
          description: What you call it; null for one without a name.
          type: str
          sample: nightly
        created:
          description: When it was made, in UTC.
          type: str
          sample: "2026-11-22T02:00:00Z"
        problem:
          description: Why it cannot be used.
          returned: if it is damaged
          type: str
          sample: "keys/0a7fddc22e37eaf0.json: is not a JSON document."
copied:
  description: The restore points that were copied, the oldest first. In check mode, what would be.
  returned: when O(copy_to) is given
  type: list
  elements: dict
  contains:
    id:
      description: Its id, in both repositories.
      type: str
      sample: 20261122T020000Z-3f9a2c1b
    name:
      description: The name it was given, or its id.
      type: str
      sample: before-upgrade
    source:
      description: What was backed up.
      type: str
      sample: web01
"""

import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_size
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.copy_points import CopyRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.key_file import new_keys
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

# What opens a repository, without the environment: that speaks of the repository at `url`.
SECRETS = {
    "passphrase": {"type": "str", "no_log": True},
    "key_file": {"type": "path", "no_log": False},
}
ANOTHER = {"type": "dict", "options": {"url": {"type": "str", "required": True}, **SECRETS}}


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    if params["state"] == "absent":
        return plan_absent(params["url"])
    request = RepositoryRequest(
        url=params["url"],
        passphrase=params["passphrase"],
        key_file=params["key_file"],
        encryption=params["encryption"],
        chunk_size=parse_size(params["chunk_size"], "chunk_size"),
        keys=new_keys(params["keys"]),
        purge_keys=params["purge_keys"],
        master_key_of=another(params["master_key_of"]),
        copy=copy_request(params),
    )
    return plan_present(request, module.progress)


def another(given: dict[str, str | None] | None) -> Access | None:
    """Another repository that an option names."""
    if given is None:
        return None
    return Access(given["url"], given["passphrase"], given["key_file"])


def copy_request(params: dict[str, t.Any]) -> CopyRequest | None:
    """What to copy, if anything."""
    to = another(params["copy_to"])
    if to is None:
        if params["copy_points"] or params["copy_sources"]:
            raise InvalidRequest("copy_points and copy_sources need copy_to, where to copy them")
        return None
    return CopyRequest(to, tuple(params["copy_points"]), tuple(params["copy_sources"]))


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "passphrase": REPOSITORY_SPEC["passphrase"],
            "key_file": REPOSITORY_SPEC["key_file"],
            "keys": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "no_log": False,
                "options": {"name": {"type": "str", "required": True}, **SECRETS},
                "mutually_exclusive": [("passphrase", "key_file")],
                "required_one_of": [("passphrase", "key_file")],
            },
            "purge_keys": {"type": "bool", "default": False, "no_log": False},
            "master_key_of": {**ANOTHER, "no_log": False},
            "copy_to": ANOTHER,
            "copy_points": {"type": "list", "elements": "str", "default": []},
            "copy_sources": {"type": "list", "elements": "str", "default": []},
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
