#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_window_turn
short_description: Whose turn it is in a backup window
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Lets any number of proxies work through one plan without getting in each other's way. Each asks
    for its next virtual machine, backs it up, and says how that went. What they share is a file,
    the log of the window.
  - The limits of the plan hold however long a backup really takes, and nothing is handed out that
    is not expected to end before the deadline. Who fails has another try, last and at another
    proxy.
  - Run it where the log is, as on the controller with C(delegate_to).
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
attributes:
  idempotent:
    support: partial
    details:
      - O(state=opened) is. Taking and returning a turn change the log each time, unless there is no
        turn to take.
options:
  log:
    description: The log, a file on this host. Each window has its own.
    type: path
    required: true
  state:
    description:
      - V(opened) begins a window with O(plan). If it is open already, with the same plan, it goes
        on; what was begun in it counts as lost then, so open it before its proxies begin. Those who
        wait for a turn of an earlier run get none any more.
      - V(taken) gives O(proxy) its next turn. With O(vm) it first takes that turn back, as
        V(returned) does.
      - V(returned) says how the turn with O(vm) went.
    type: str
    choices:
      - opened
      - taken
      - returned
    required: true
  plan:
    description: What M(vdisk.lifecycle.vmdk_window_plan) returned.
    type: dict
  silent:
    description: With O(state=opened), proxies of the plan that do not answer any more. Nobody waits
      for them then.
    type: list
    elements: str
    default: []
  run:
    description: RV(run) of the run that asks. When the window was opened again since, there is no
      turn for it any more, and what it returns is not counted. Without it, whoever asks is
      believed.
    type: int
  proxy:
    description: Who asks, by the name that it has in the plan.
    type: str
  vm:
    description: The id of the virtual machine, C(moref) of RV(turn).
    type: str
  outcome:
    description:
      - How it went. C(ok) says whether it is done. C(gone) says that the proxy cannot be reached
        any more, and that who asks is to end. What else is in it is kept in the log, for the
        report.
    type: dict
    default: {}
  tries:
    description: How often a virtual machine may be tried.
    type: int
    default: 2
  wait:
    description: How many seconds to wait for a turn, where others stand in the way.
    type: int
    default: 300
seealso:
  - module: vdisk.lifecycle.vmdk_window_plan
"""

EXAMPLES = r"""
- name: Plan
  vdisk.lifecycle.vmdk_window_plan:
    vms:
      - name: web01
        moref: vm-42
        host: esx01.example.com
        disks: [{path: "[fast] web01/web01.vmdk", size: 10737418240}]
    proxies:
      - {name: proxy1}
    start: "2026-11-23T22:00:00Z"
    deadline: "2126-11-24T05:00:00Z"
  register: night

- name: Begin the window
  vdisk.lifecycle.vmdk_window_turn:
    log: /srv/windows/2026-11-23.log
    state: opened
    plan: "{{ night.plan }}"

- name: What shall proxy1 do now?
  vdisk.lifecycle.vmdk_window_turn:
    log: /srv/windows/2026-11-23.log
    state: taken
    proxy: proxy1
  register: mine

- name: It is done
  vdisk.lifecycle.vmdk_window_turn:
    log: /srv/windows/2026-11-23.log
    state: returned
    proxy: proxy1
    vm: "{{ mine.turn.moref }}"
    outcome:
      ok: true
"""

RETURN = r"""
run:
  description: For O(run) of all who take turns now. It grows when the window is opened again and
    goes on.
  returned: with O(state=opened), not in check mode if something would change
  type: int
  sample: 1
turn:
  description:
    - The virtual machine to back up now, as in the plan, with C(tries), which counts this try.
      V(null) if there is none within O(wait).
  returned: with O(state=taken)
  type: dict
  sample: {name: web01, moref: vm-42, host: esx01.example.com, datastores: [fast],
    proxies: [proxy1], seconds: 128, tries: 1}
over:
  description: Whether there is nothing left that this proxy could do.
  returned: with O(state=taken)
  type: bool
  sample: false
"""

import time

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import (
    Plan,
    Result,
    nothing_to_do,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.running import (
    give_back,
    open_window,
    run_of,
    take,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import VmdkModule


def make_plan(module: VmdkModule) -> Plan:
    """Check mode takes no turn: it would have to be given back."""
    params = module.params
    log, proxy, state, run = params["log"], params["proxy"], params["state"], params["run"]

    def opened() -> Result:
        return {"run": open_window(log, params["plan"], time.time(), params["silent"])}

    def taken() -> Result:
        if params["vm"] is not None:
            returned()
        if params["outcome"].get("gone"):
            return {"turn": None, "over": True}
        found = take(log, proxy, params["tries"], params["wait"], run)
        return {"changed": found["turn"] is not None or params["vm"] is not None, **found}

    def returned() -> Result:
        give_back(log, proxy, params["vm"], time.time(), params["outcome"], run)
        return {}

    if state == "opened":
        open_already = run_of(log, params["plan"], params["silent"])
        if open_already is not None:
            return nothing_to_do({}, {"run": open_already})
    act = {"opened": opened, "taken": taken, "returned": returned}[state]
    return Plan({}, {"log": log, "state": state}, {}, act)


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            "log": {"type": "path", "required": True},
            "state": {
                "type": "str",
                "choices": ["opened", "taken", "returned"],
                "required": True,
            },
            "plan": {"type": "dict"},
            "silent": {"type": "list", "elements": "str", "default": []},
            "run": {"type": "int"},
            "proxy": {"type": "str"},
            "vm": {"type": "str"},
            "outcome": {"type": "dict", "default": {}},
            "tries": {"type": "int", "default": 2},
            "wait": {"type": "int", "default": 300},
        },
        required_if=[
            ("state", "opened", ["plan"]),
            ("state", "taken", ["proxy"]),
            ("state", "returned", ["proxy", "vm"]),
        ],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
