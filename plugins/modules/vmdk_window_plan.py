#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_window_plan
short_description: Plan which virtual machine is backed up when, and by which proxy
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Plans a backup window. Who needs a backup most comes first, which is who is oldest measured by
    how old it may become; who was left without one last time leads.
  - At no moment have an ESXi host, a datastore, a proxy or the repository more backups than they
    may have, and nothing is begun that is not expected to end before the deadline.
  - How long a backup takes is learnt from the restore points that are there. Who has none is
    expected to be read whole.
  - The module only thinks. It connects to nothing, and the same input gives the same plan.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes.info
options:
  vms:
    description: The virtual machines, as RV(vdisk.lifecycle.vmdk_vm_info#module:vms) lists them.
    type: list
    elements: dict
    required: true
  restore_points:
    description:
      - What was backed up before, as
        RV(vdisk.lifecycle.vmdk_backup_info#module:restore_points) lists it.
    type: list
    elements: dict
    default: []
  proxies:
    description: Who moves the data.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name in the inventory.
        type: str
        required: true
      streams:
        description: How many virtual machines it backs up at a time.
        type: int
        default: 2
      datastores:
        description: The datastores that it reaches. Without any, it reaches all.
        type: list
        elements: str
        default: []
  start:
    description: When the window begins, as V(2026-11-23T22:00:00Z).
    type: str
    required: true
  deadline:
    description:
      - When all has to be over, as V(2026-11-24T05:00:00Z). V(05:00) is the next one after O(start)
        by the clock of this host if it has that offset from UTC, else by that offset; V(7h) is so
        much after it.
    type: str
    required: true
  limits:
    description: How many backups may run at a time. V(0) is no limit.
    type: dict
    default: {}
    suboptions:
      host:
        description: On each ESXi host.
        type: int
        default: 4
      datastore:
        description: On each datastore.
        type: int
        default: 4
      repository:
        description: Into the repository.
        type: int
        default: 0
      hosts:
        description: ESXi hosts that differ, with their numbers.
        type: dict
        default: {}
      datastores:
        description: Datastores that differ, with their numbers.
        type: dict
        default: {}
  rpo:
    description: How old the newest restore point of a virtual machine may become.
    type: str
    default: 24h
  rpos:
    description: Virtual machines that differ, by their names or ids (C(vm-42)).
    type: dict
    default: {}
  risks:
    description:
      - How much more some virtual machines matter than others of the same age, by their names or
        ids, such as V(2.0). Those that are not named have V(1.0).
    type: dict
    default: {}
  missed:
    description: What the last plan returned as RV(plan.missed).
    type: dict
    default: {}
  rate:
    description: Bytes a second at which a virtual machine without restore points is read.
    type: str
    default: 100MiB
  margin:
    description: How many times longer than expected a backup may take. Who fits into the window
      without that is not left out of all windows because of it.
    type: float
    default: 1.25
seealso:
  - module: vdisk.lifecycle.vmdk_vm_info
  - module: vdisk.lifecycle.vmdk_backup_info
  - module: vdisk.lifecycle.vmdk_backup
"""

EXAMPLES = r"""
- name: Plan the night for two machines, of which one is a day late
  vdisk.lifecycle.vmdk_window_plan:
    vms:
      - name: web01
        moref: vm-42
        host: esx01.example.com
        disks: [{path: "[fast] web01/web01.vmdk", size: 10737418240}]
      - name: db01
        moref: vm-43
        host: esx01.example.com
        disks: [{path: "[fast] db01/db01.vmdk", size: 536870912000}]
    proxies:
      - {name: proxy1, streams: 2}
    limits:
      datastore: 1
    start: "2026-11-23T22:00:00Z"
    deadline: "2026-11-24T05:00:00Z"
  register: night

- name: What does not fit
  ansible.builtin.debug:
    msg: "{{ night.plan.left | map(attribute='reason') | list }}"
"""

RETURN = r"""
plan:
  description: The plan.
  returned: success
  type: dict
  contains:
    start:
      description: When the window begins.
      type: str
      sample: "2026-11-23T22:00:00Z"
    deadline:
      description: When all has to be over.
      type: str
      sample: "2026-11-24T05:00:00Z"
    limits:
      description: How many backups may run at a time, and in C(proxies) the streams of each proxy.
      type: dict
      sample: {host: 4, datastore: 1, repository: 0, hosts: {}, datastores: {},
        proxies: {proxy1: 2}}
    slots:
      description: One entry for each backup, in the order in which they begin.
      type: list
      elements: dict
      contains:
        name: &name
          description: The virtual machine.
          type: str
          sample: db01
        moref: &moref
          description: Its id in the vCenter.
          type: str
          sample: vm-43
        host: &host
          description: The ESXi host it is on.
          type: str
          sample: esx01.example.com
        datastores: &datastores
          description: Where its disks are.
          type: list
          elements: str
          sample: [fast]
        proxies: &proxies
          description: Who could make the backup.
          type: list
          elements: str
          sample: [proxy1, proxy2]
        proxy:
          description: Who is to make the backup.
          type: str
          sample: proxy1
        start:
          description: When it is expected to begin.
          type: str
          sample: "2026-11-23T22:00:00Z"
        end:
          description: When it is expected to end.
          type: str
          sample: "2026-11-23T23:46:40Z"
        seconds: &seconds
          description: How long it is expected to take.
          type: int
          sample: 6400
        basis:
          description: What that is based on.
          type: str
          sample: the size of its disks
        age: &age
          description: How many seconds old its newest restore point is at the start of the window.
            V(null) if it has none.
          type: int
          sample: 172800
        overdue: &overdue
          description: Whether that is older than it may be.
          type: bool
          sample: true
    left:
      description: Who has no place in the window, in the order in which they lead the next one.
      type: list
      elements: dict
      contains:
        name: *name
        moref: *moref
        host: *host
        datastores: *datastores
        proxies: *proxies
        seconds: *seconds
        age: *age
        overdue: *overdue
        reason:
          description: Why it has no place.
          type: str
          sample: "it is expected to take 9:10 h, and the whole window has 7:00 h"
        never:
          description: Whether no window as long as this one has room for it.
          type: bool
          sample: true
        missed:
          description: How many windows in a row had no room for it, with this one.
          type: int
          sample: 1
    end:
      description: When the last backup is expected to end. V(null) if there is none.
      type: str
      sample: "2026-11-23T23:46:40Z"
    missed:
      description: For O(missed) of the next plan.
      type: dict
      sample: {vm-44: 1}
"""

import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import (
    parse_age,
    parse_size,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan, nothing_to_do
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.model import (
    Limits,
    Window,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.times import (
    parse_deadline,
    parse_time,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.wish import (
    Proxy,
    WindowWish,
    plan_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import VmdkModule

N = t.TypeVar("N", int, float)
LIMITS_SPEC = {
    "host": {"type": "int", "default": 4},
    "datastore": {"type": "int", "default": 4},
    "repository": {"type": "int", "default": 0},
    "hosts": {"type": "dict", "default": {}},
    "datastores": {"type": "dict", "default": {}},
}
PROXY_SPEC = {
    "name": {"type": "str", "required": True},
    "streams": {"type": "int", "default": 2},
    "datastores": {"type": "list", "elements": "str", "default": []},
}


def make_plan(module: VmdkModule) -> Plan:
    """Thinking is all there is to do."""
    params = module.params
    differing = {
        kind: _numbers(params["limits"][kind], kind, int) for kind in ("hosts", "datastores")
    }
    wish = WindowWish(
        vms=params["vms"],
        points=params["restore_points"],
        proxies=[
            Proxy(each["name"], each["streams"], tuple(each["datastores"]))
            for each in params["proxies"]
        ],
        window=Window(
            parse_time(params["start"], "start"),
            parse_deadline(params["deadline"], params["start"]),
        ),
        limits=Limits(**{**params["limits"], **differing}),
        rpo=parse_age(params["rpo"], "rpo"),
        rpos={name: parse_age(str(age), "rpos") for name, age in params["rpos"].items()},
        risks=_numbers(params["risks"], "risks", float),
        missed=_numbers(params["missed"], "missed", int),
        rate=parse_size(params["rate"], "rate"),
        margin=params["margin"],
    )
    return nothing_to_do({}, {"plan": plan_of(wish)})


def _numbers(told: dict[str, t.Any], option: str, kind: type[N]) -> dict[str, N]:
    """Raises InvalidRequest."""
    found = {}
    for name, number in told.items():
        try:
            found[name] = kind(number)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(f"{option}: {number!r} of {name} is no number") from error
    return found


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            "vms": {"type": "list", "elements": "dict", "required": True},
            "restore_points": {"type": "list", "elements": "dict", "default": []},
            "proxies": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": PROXY_SPEC,
            },
            "start": {"type": "str", "required": True},
            "deadline": {"type": "str", "required": True},
            "limits": {
                "type": "dict",
                "default": {},
                "apply_defaults": True,
                "options": LIMITS_SPEC,
            },
            "rpo": {"type": "str", "default": "24h"},
            "rpos": {"type": "dict", "default": {}},
            "risks": {"type": "dict", "default": {}},
            "missed": {"type": "dict", "default": {}},
            "rate": {"type": "str", "default": "100MiB"},
            "margin": {"type": "float", "default": 1.25},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
