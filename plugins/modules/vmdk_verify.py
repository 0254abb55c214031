#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_verify
short_description: Prove that backups can be restored, and keep damage from spreading
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Looks for damage in a backup repository, from a quick look at what must be there to a restore of
    every restore point to nothing. Names each damaged object, whom it hits to the byte, and what to
    do about it.
  - Only reads, and any number of backups may run meanwhile. With O(quarantine=true) it also marks
    damaged packs, so that no backup uses them again. The next backup then reads what they held from
    the disks and stores it once more, even where a list of changed blocks says that nothing
    changed, and older restore points that need the same content are whole again.
  - A task of this module B(fails if anything is damaged), since that is what you want to be told
    of. All that it found is in the failed result as well. Set O(fail_on_damage=false) to decide by
    RV(ok) and RV(findings) yourself.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
options:
  repository:
    required: true
  level:
    description:
      - How deep to look. Each level does what V(list) does, and more.
      - V(list) reads every manifest, key, hold and other small object, and every map of every
        restore point, and looks whether all packs are there and long enough. It takes seconds.
      - V(packs) also reads every pack and compares it with the digest that is its name. This finds
        any change of any bit.
      - V(data) also decrypts and decompresses all content in the same pass, and compares it with
        its ids, and what maps and packs say of each other.
      - V(restore) restores each disk of each restore point to nothing and compares it with the
        digest in its manifest. It reads only what restore points need, but what many of them share
        it reads many times. Use O(sample) with it.
    type: str
    default: packs
    choices:
      - list
      - packs
      - data
      - restore
  sample:
    description:
      - Look only at some packs, or with O(level=restore) at some restore points, taken at random. A
        number such as V(20), or a share such as V(10%).
      - RV(sample) says which. Verifying 5% every night sees nearly all within two months.
    type: str
  seed:
    description:
      - Take the same sample once more, by C(seed) in RV(sample) of an earlier run.
    type: int
  restore_point:
    description:
      - Look only at this restore point and the packs that it needs, as C(SOURCE@POINT), an id, or a
        name that is unique.
    type: str
  quarantine:
    description:
      - Put damaged and missing packs into quarantine, take those out that are well again (it was a
        cable), and put damaged copies of C(repo.json) and of keys back from their good twins.
      - A quarantine costs space, as the next backup stores again what it still finds on the disks.
        It harms nothing, and no restore point is ever touched.
    type: bool
    default: false
  fail_on_damage:
    description:
      - Whether the task fails if anything is damaged. It always fails where the repository cannot
        be opened.
    type: bool
    default: true
seealso:
  - module: vdisk.lifecycle.vmdk_backup
  - module: vdisk.lifecycle.vmdk_prune
  - module: vdisk.lifecycle.vmdk_check
"""

EXAMPLES = r"""
- name: Every night, prove some of it, and heal with the next backup what is damaged
  vdisk.lifecycle.vmdk_verify:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    level: data
    sample: 5%
    quarantine: true

- name: Every month, restore a few restore points to nothing
  vdisk.lifecycle.vmdk_verify:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    level: restore
    sample: 3

- name: Can the one that matters be restored?
  vdisk.lifecycle.vmdk_verify:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    level: restore
    restore_point: web01@before-upgrade

- name: Look at everything, and go on in any case
  vdisk.lifecycle.vmdk_verify:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    level: data
    fail_on_damage: false
  register: backups

- name: What is hit?
  ansible.builtin.debug:
    msg: "{{ backups.findings | map(attribute='restore_points') | flatten | unique }}"
"""

RETURN = r"""
ok:
  description: Whether nothing is damaged, notes aside.
  returned: when the repository could be opened
  type: bool
  sample: false
findings:
  description: What is damaged, or good to know.
  returned: when the repository could be opened
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(pack-damaged), V(pack-missing), V(pack-short) or V(pack-unreadable) for packs;
          V(restore) for a disk that did not restore; V(reference) for a map that does not fit;
          V(manifest), V(hold), V(tomb), V(quarantine), V(key), V(repository), V(spare) or
          V(session) for small objects; V(stranger) for what is no part of a repository.
      type: str
      sample: pack-damaged
    severity:
      description: V(error) if something cannot be restored, V(warning) if something is damaged but
        nothing is lost, V(note) if there is nothing to do.
      type: str
      sample: error
    object:
      description: The damaged object, by its place in the repository.
      type: str
      sample: packs/63/63b1f9e2
    message:
      description: The damage in words.
      type: str
      sample: its content is not what its name says (a blob does not decrypt, it was changed)
    offset:
      description: The first byte of the object that is known to be bad, where one can be told.
      type: int
      sample: 36
    hits:
      description: Bytes of disks that cannot be restored because of it, 100 ranges at most.
      type: list
      elements: dict
      sample:
        - point: 20261122T020000Z-3f9a2c1b
          source: web01
          disk: disk0
          offset: 1048576
          length: 1048576
    hits_left_out:
      description: How many more ranges are hit.
      type: int
      sample: 0
    restore_points:
      description: The ids of all restore points that are hit.
      type: list
      elements: str
      sample: [20261122T020000Z-3f9a2c1b]
    how:
      description: What mends it, or what else helps.
      type: str
      sample: "Run with quarantine: true, then back up: what the disks still hold is stored again."
checked:
  description: What was looked at.
  returned: when the repository could be opened
  type: dict
  contains:
    objects:
      description: Packs, maps, documents and disks.
      type: int
      sample: 431
    bytes:
      description: Bytes of them that were read; of disks, that were restored to nothing.
      type: int
      sample: 26843545600
    seconds:
      description: How long it took.
      type: float
      sample: 61.2
sample:
  description: Which packs or restore points were looked at.
  returned: when O(sample) is set
  type: dict
  sample:
    seed: 1184023115
    of: 3
    restore_points: [backups/4f1c2d7e/20261122T020000Z-3f9a2c1b]
quarantined:
  description: Objects that were written to put packs into quarantine; in check mode, that would be.
  returned: when the repository could be opened
  type: list
  elements: str
  sample: [quarantine/63b1f9e2]
lifted:
  description: Objects that were removed since their packs are well again, or are gone.
  returned: when the repository could be opened
  type: list
  elements: str
  sample: []
mended:
  description: Objects that were put back from their good twins.
  returned: when the repository could be opened
  type: list
  elements: str
  sample: [spare/repo.json]
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.verify_repository import (
    plan_verify,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    REQUIRED_REPOSITORY_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import (
    LEVELS,
    PACKS,
    Wish,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    wish = Wish(
        level=params["level"],
        sample=params["sample"],
        seed=params["seed"],
        restore_point=params["restore_point"],
        quarantine=params["quarantine"],
        progress=module.progress,
    )
    return plan_verify(module.access, wish, fail_on_damage=params["fail_on_damage"])


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REQUIRED_REPOSITORY_SPEC,
            "level": {"type": "str", "default": PACKS, "choices": list(LEVELS)},
            "sample": {"type": "str"},
            "seed": {"type": "int", "no_log": False},
            "restore_point": {"type": "str"},
            "quarantine": {"type": "bool", "default": False},
            "fail_on_damage": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
