#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_check
short_description: Check a VMDK, repair what is proven, save what is left of it
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Looks at each file of a disk and of its parents by itself, so it works on disks that nothing
    can open. Compares both copies of the grain tables entry by entry, looks for grains that share a
    place, lie on metadata or beyond the end of their file, inflates every grain of a stream,
    compares descriptor, extents, content ids and geometry, and looks for missing links, stale
    change tracking, locks and what killed jobs have left.
  - An unhealthy disk is a result, not a failure. Your playbook decides what follows from
    RV(healthy) and RV(findings). The module fails where there is no disk, or somebody is writing
    to it.
  - Repairs only when asked to, only metadata, and only what another copy or the file itself proves.
    One copy of the tables is whole at any moment, so a repair that is killed can be run again.
    Whatever it cannot prove it leaves alone, and says why.
  - Saves what is left of a disk that cannot be repaired to a new one, and lists what is lost.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.allow_outside
options:
  path:
    description:
      - The disk. Name its descriptor, not one of its extents.
    type: path
    required: true
  repair:
    description:
      - Mend what is proven. A table or directory is restored from the copy that validates; a line
        of the descriptor follows the extent's header where the geometry agrees with the header; a
        line that names a change-tracking file which is missing or none is dropped; an interrupted
        job is completed and its leftovers are removed; the mark of an unclean shutdown is cleared
        when nothing else stays wrong.
      - Damage by a transfer in text mode cannot be repaired. Neither can content.
    type: bool
    default: false
  repair_cid:
    description:
      - Make the child name the content id that its parent has now, and nothing more.
      - VMware refuses a child whose parent was written after the child was made, since its content
        may be mixed from two times. Use this only when you know that the parent's content is the
        one that the child was made on.
    type: bool
    default: false
  salvage_to:
    description:
      - Path of a new disk that takes all that can still be read. It has no parent.
      - The source is never changed. A stream that was cut off, or that lost its header, is read by
        the markers of its grains; a sparse disk by whichever of its tables lead to grains. Ranges
        that cannot be read become zeros and are listed in RV(salvaged.lost).
      - A disk that is there already, with the same content and type, is left as it is.
    type: path
  disk_type:
    description:
      - Type of the disk at O(salvage_to).
    type: str
    default: monolithicSparse
    choices:
      - monolithicSparse
      - monolithicFlat
      - twoGbMaxExtentSparse
      - twoGbMaxExtentFlat
      - vmfs
      - streamOptimized
  force:
    description:
      - Replace a different disk at O(salvage_to).
    type: bool
    default: false
seealso:
  - module: vdisk.lifecycle.vmdk_info
  - module: vdisk.lifecycle.vmdk_convert
"""

EXAMPLES = r"""
- name: Is it sound?
  vdisk.lifecycle.vmdk_check:
    path: /srv/vm/web01.vmdk
  register: web01

- name: Stop here if it is not, and say what is wrong
  ansible.builtin.assert:
    that: web01.healthy
    fail_msg: "{{ web01.findings | map(attribute='message') | join('; ') }}"

- name: Mend what can be proven
  vdisk.lifecycle.vmdk_check:
    path: /srv/vm/web01.vmdk
    repair: true

- name: Save what is left of a download that broke off, without touching it
  vdisk.lifecycle.vmdk_check:
    path: /srv/export/web01.vmdk
    salvage_to: /srv/vm/web01-saved.vmdk
  register: saved

- name: What is lost?
  ansible.builtin.debug:
    msg: "{{ saved.salvaged.lost | sum(attribute='length') | human_readable }} of zeros"
"""

RETURN = r"""
healthy:
  description:
    - Whether nothing is wrong, notes aside. After a repair, whether it is sound now.
  returned: success
  type: bool
  sample: false
findings:
  description: What is wrong. After a repair, what is left of it.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - What kind of fault it is. V(tables-differ), V(directory), V(directory-entry),
          V(beyond-end), V(in-metadata), V(duplicate), V(grain-size), V(unused-space), V(header),
          V(newlines), V(capacity), V(unclean), V(descriptor), V(spelling),
          V(size-mismatch), V(extent-size), V(missing-extent), V(extent), V(footer), V(bad-grain),
          V(markers), V(cid), V(cid-mismatch), V(missing-link),
          V(circular-chain), V(change-tracking), V(commit), V(journal), V(leftover), V(lock),
          V(transaction), V(unchecked) or V(not-a-disk).
      type: str
      sample: tables-differ
    severity:
      description: V(error), V(warning), or V(note) for what is legal and good to know.
      type: str
      sample: error
    path:
      description: The file.
      type: str
      sample: /srv/vm/web01.vmdk
    offset:
      description: Byte of the file, where one can be told.
      type: int
      sample: 44032
    message:
      description: The fault in words.
      type: str
      sample: "1 entries differ between the two copies of the grain tables, and one copy proves
        itself right; the first is grain 0"
    repairable:
      description: Whether O(repair) mends it; for V(cid-mismatch), whether O(repair_cid) does.
      type: bool
      sample: true
    how:
      description: What mends it, or what else helps.
      type: str
      sample: "repair: true takes what the other copy proves"
repaired:
  description: Each change, in the order in which it was made; in check mode, those that would be.
  returned: success
  type: list
  elements: dict
  sample:
    - path: /srv/vm/web01.vmdk
      what: table 0 of the grain directory, 1 entries
      before: "0: 0"
      after: "0: 128"
      offset: 44032
salvaged:
  description: What was saved.
  returned: when O(salvage_to) is set, but not in check mode before it is there
  type: dict
  contains:
    disk:
      description: The new disk, as M(vdisk.lifecycle.vmdk_info) describes it.
      type: dict
      sample: {path: /srv/vm/web01-saved.vmdk, disk_type: monolithicSparse, size: 31457280}
    lost:
      description: Ranges of the disk, in bytes, that could not be read and are zeros now.
      type: list
      elements: dict
      sample: [{offset: 7012352, length: 24444928}]
    doubtful:
      description: Ranges that were read, and that two tables or two grains disagree about.
      type: list
      elements: dict
      sample: []
    transfer:
      description: What copying cost, in bytes and seconds; only when it was made now.
      type: dict
      sample: {bytes_total: 31457280, bytes_written: 2293760, seconds: 0.031}
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.check_disk import (
    CheckRequest,
    plan_check,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CREATABLE_TYPES,
    MONOLITHIC_SPARSE,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    request = CheckRequest(
        path=params["path"],
        repair=params["repair"],
        repair_cid=params["repair_cid"],
        salvage_to=params["salvage_to"],
        disk_type=params["disk_type"],
        force=params["force"],
        allow_outside=tuple(params["allow_outside"]),
        progress=module.progress,
    )
    return plan_check(request)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **ALLOW_OUTSIDE_SPEC,
            "path": {"type": "path", "required": True},
            "repair": {"type": "bool", "default": False},
            "repair_cid": {"type": "bool", "default": False},
            "salvage_to": {"type": "path"},
            "disk_type": {
                "type": "str",
                "default": MONOLITHIC_SPARSE,
                "choices": list(CREATABLE_TYPES),
            },
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
