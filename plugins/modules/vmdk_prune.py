#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_prune
short_description: Drop old restore points and give back their space
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Keeps the restore points that your rules ask for and drops the others. Every point is complete
    on its own, so dropping one never harms another.
  - Each point comes back with its reasons, in words, be it kept or dropped. Look at them first,
    with check mode; it foretells exactly.
  - Then gives back the space that nothing needs any more. Files are only marked in one run and
    deleted in a later one, so run it regularly, as after each night's backups.
  - Backups may run meanwhile, from any number of hosts. Only two runs of this module at once are
    refused.
  - The newest readable restore point of a source is never dropped by a rule, and one that cannot be
    read is never dropped unless you name it.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
options:
  repository:
    required: true
  source:
    description:
      - The rules are for restore points of this disk or virtual machine only. Without it they are
        for each one in the repository, counted on its own.
    type: str
    aliases:
      - vm
  keep_last:
    description:
      - Keep that many of the newest restore points of each source.
      - A point stays if any one of the rules keeps it. Without any rule, none is dropped.
    type: int
  keep_hourly:
    description:
      - Keep the newest point of each of the newest that many hours that have one. Hours, days,
        weeks (from Monday), months and years are those of UTC.
      - Points that were made later than the clock of this host says are counted by themselves, so
        that a clock which is behind drops none that would stay.
    type: int
  keep_daily:
    description:
      - The same for days.
    type: int
  keep_weekly:
    description:
      - The same for weeks.
    type: int
  keep_monthly:
    description:
      - The same for months.
    type: int
  keep_yearly:
    description:
      - The same for years.
    type: int
  keep_within:
    description:
      - Keep every point that is at most so much older than the newest one of its source, for
        example V(14d). So where backups have stopped, nothing grows too old.
    type: str
  drop:
    description:
      - Restore points that shall go whatever the rules say, V(web01@before-upgrade) or the id of a
        point. One that is gone already is fine.
      - The only way to drop a damaged point, or the last one of a source. Held and retained points
        are refused.
    type: list
    elements: str
    default: []
  hold:
    description:
      - Restore points that nobody may drop until they are released.
    type: list
    elements: str
    default: []
  hold_reason:
    description:
      - Why they are held; it is shown wherever one is kept for that.
    type: str
    default: asked for
  release:
    description:
      - Restore points that need not be held any longer. The rules decide again at once.
    type: list
    elements: str
    default: []
  collect:
    description:
      - Whether to give back space. V(false) only drops restore points.
    type: bool
    default: true
  grace:
    description:
      - How long files stay after they were marked, so that a restore of a dropped point that runs
        can end, such as V(12h) or V(0s). Backups are safe with any value.
    type: str
    default: 1d
  compact:
    description:
      - Rewrite files less than that many percent of which is still needed, up to V(90). V(0)
        does not.
      - Gives back more space and costs reading and writing what is needed of them; V(30) to V(50)
        are sensible, and now and then rather than every night.
      - Files of held points and of those with a retention time are left as they are.
    type: int
    default: 0
seealso:
  - module: vdisk.lifecycle.vmdk_backup
  - module: vdisk.lifecycle.vmdk_backup_info
"""

EXAMPLES = r"""
- name: A week of days, five weeks, and a year of months
  vdisk.lifecycle.vmdk_prune:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    keep_daily: 7
    keep_weekly: 5
    keep_monthly: 12

- name: The auditors want this one
  vdisk.lifecycle.vmdk_prune:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    hold: [web01@before-upgrade]
    hold_reason: audit 2026

- name: They are done, and nobody needs it any more
  vdisk.lifecycle.vmdk_prune:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    release: [web01@before-upgrade]
    drop: [web01@before-upgrade]

- name: On Sundays, get the space out of files that are half empty
  vdisk.lifecycle.vmdk_prune:
    repository: /srv/backup
    passphrase: "{{ vault_backup_passphrase }}"
    compact: 50
"""

RETURN = r"""
kept:
  description: The restore points that stay, the oldest first, each with all its reasons.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Unique in the repository, for good.
      type: str
      sample: 20261121T020000Z-3f9a2c1b
    name:
      description: The name it was given, or its id.
      type: str
      sample: before-upgrade
    source:
      description: The name of what was backed up.
      type: str
      sample: web01
    created:
      description: When, in UTC.
      type: str
      sample: "2026-11-21T02:00:00Z"
    reasons:
      description: Why it stays.
      type: list
      elements: str
      sample: ["held: audit 2026", "last 3 of 7", "daily 2026-11-21"]
dropped:
  description: The restore points that are gone, in the same form; the reasons say why.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 20261021T020000Z-77ab01c9
      name: 20261021T020000Z-77ab01c9
      source: web01
      created: "2026-10-21T02:00:00Z"
      reasons: ["daily 2026-10-21 is not among the newest 7"]
compacted:
  description: What O(compact) did.
  returned: success
  type: dict
  contains:
    packs:
      description: Files that nothing needs any more, since what was needed of them was copied.
      type: int
      sample: 12
    points:
      description: Restore points that now say where the copies are. V(0) in check mode.
      type: int
      sample: 31
    bytes_written:
      description: Bytes of the new files. V(0) in check mode.
      type: int
      sample: 268435456
collected:
  description: What became of files that nothing needs; null with O(collect=false).
  returned: success
  type: dict
  contains:
    condemned:
      description: Files that were marked in this run and will be deleted in a later one.
      type: int
      sample: 4
    condemned_bytes:
      description: Their size.
      type: int
      sample: 201326592
    deleted:
      description: Files that were deleted.
      type: int
      sample: 3
    deleted_bytes:
      description: Their size; that much is free again.
      type: int
      sample: 134217728
    spared:
      description: Files that had been marked but are needed by a backup that was running then.
      type: int
      sample: 0
    waiting:
      description: What is marked, and what it waits for.
      type: list
      elements: str
      sample: ["4 packs until 2026-11-24T03:00:00Z"]
    problems:
      description: Restore points that cannot be read. As long as there is one nothing is marked or
        deleted, since nobody knows what it needs. Verify the repository, or drop the point.
      type: list
      elements: str
      sample: []
"""

import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_age
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.prune_repository import (
    plan_prune,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    REQUIRED_REPOSITORY_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
)

COUNTS = ("last", "hourly", "daily", "weekly", "monthly", "yearly")


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = PruneRequest(
        rules=_rules(params),
        source=params["source"],
        drop=tuple(params["drop"]),
        hold=tuple(params["hold"]),
        release=tuple(params["release"]),
        hold_reason=params["hold_reason"],
        collect=params["collect"],
        grace=parse_age(params["grace"], "grace"),
        compact=params["compact"],
        progress=module.progress,
    )
    if not 0 <= request.compact <= 90:
        raise InvalidRequest("compact: not a sensible percentage", expected="0 to 90")
    return plan_prune(module.access, request)


def _rules(params: dict[str, t.Any]) -> Rules:
    counts = {name: params[f"keep_{name}"] or 0 for name in COUNTS}
    negative = [f"keep_{name}" for name, count in counts.items() if count < 0]
    if negative:
        raise InvalidRequest(f"{negative[0]}: a negative number cannot be kept")
    within = params["keep_within"]
    return Rules(**counts, within=parse_age(within, "keep_within") if within else 0)


def main() -> None:
    """Entry point."""
    names = {"type": "list", "elements": "str", "default": []}
    module = VmdkModule(
        argument_spec={
            **REQUIRED_REPOSITORY_SPEC,
            "source": {"type": "str", "aliases": ["vm"]},
            **{f"keep_{name}": {"type": "int"} for name in COUNTS},
            "keep_within": {"type": "str"},
            "drop": names,
            "hold": names,
            "hold_reason": {"type": "str", "default": "asked for"},
            "release": names,
            "collect": {"type": "bool", "default": True},
            "grace": {"type": "str", "default": "1d"},
            "compact": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
