#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_window_report
short_description: Report of a backup window, as a page, as JSON, and as metrics
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Says what became of each virtual machine of a backup window, who is protected now, what failed
    and why, and what to do next.
  - C(report.html) is one file that loads nothing from anywhere, for the browser, a mail or the
    printer. C(report.json) says the same for programs.
  - All is told from the log of the window and from the options. The same input gives the same
    files.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
options:
  log:
    description: The log of the window, which M(vdisk.lifecycle.vmdk_window_turn) wrote.
    type: path
    required: true
  vms:
    description:
      - The virtual machines that were selected, as RV(vdisk.lifecycle.vmdk_vm_info#module:vms)
        lists them. Their concerns are told.
      - Those that are neither in the plan nor in O(skipped) are reported as skipped.
    type: list
    elements: dict
    default: []
  skipped:
    description: Who was left out, with C(name), C(moref) and C(reason). Those that are not in
      O(vms) are not measured by their RPO.
    type: list
    elements: dict
    default: []
  restore_points:
    description:
      - What there is after the window, as
        RV(vdisk.lifecycle.vmdk_backup_info#module:restore_points) lists it.
      - Without it, as where the repository cannot be reached, what the plan and O(history) know of
        counts as there.
    type: list
    elements: dict
  rpo:
    description: How old the newest restore point of a virtual machine may become.
    type: str
    default: 24h
  rpos:
    description: Virtual machines that differ, by their names or ids (C(vm-42)).
    type: dict
    default: {}
  verify:
    description: What M(vdisk.lifecycle.vmdk_verify) returned, or C(ok) and C(message). Empty if
      nothing was verified.
    type: dict
    default: {}
  prune:
    description: What M(vdisk.lifecycle.vmdk_prune) returned, or C(ok) and C(message). Empty if
      nothing was pruned.
    type: dict
    default: {}
  title:
    description: What the window is called.
    type: str
    default: Backup window
  history:
    description:
      - The C(report.json) of earlier windows, for the trend, and for restore points that were
        dropped since.
      - Files that are missing or no reports are left out, as are those of this window and of later
        ones.
    type: list
    elements: path
    default: []
  dest:
    description: The folder for C(report.html) and C(report.json). It is made if it is missing.
    type: path
    required: true
  metrics:
    description:
      - A file for the textfile collector of Prometheus' node exporter. It has to end with C(.prom).
      - Its name without that is the label C(window) of all metrics. Name it after the kind of
        window, so that it stays the same each night.
    type: path
seealso:
  - module: vdisk.lifecycle.vmdk_window_plan
  - module: vdisk.lifecycle.vmdk_window_turn
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
    log: /srv/windows/nightly/log.jsonl
    state: opened
    plan: "{{ night.plan }}"

- name: Report it
  vdisk.lifecycle.vmdk_window_report:
    log: /srv/windows/nightly/log.jsonl
    title: Nightly backup
    rpo: 26h
    dest: /srv/windows/nightly
    metrics: /srv/windows/vdisk_nightly.prom
  register: window

- name: Tell it
  ansible.builtin.debug:
    msg: "{{ window.report.text }}"
"""

RETURN = r"""
report:
  description: What C(report.json) holds.
  returned: success
  type: dict
  contains:
    format:
      description: Of the file.
      type: int
      sample: 1
    title:
      description: As in O(title).
      type: str
      sample: Nightly backup
    status:
      description: V(failed) if a virtual machine failed or the repository did not pass its
        verification; V(incomplete) if some had no room or pruning failed; else V(ok).
      type: str
      sample: incomplete
    headline:
      description: How it went, in one sentence.
      type: str
      sample: 59 of 60 machines are backed up; 1 had no room.
    text:
      description: The report in some lines of plain text, for a mail or a message.
      type: str
      sample: "59 of 60 machines are backed up; 1 had no room.\n"
    start:
      description: When the window began by its plan.
      type: str
      sample: "2026-11-23T22:00:00Z"
    deadline:
      description: When all had to be over.
      type: str
      sample: "2026-11-24T05:00:00Z"
    opened:
      description: When it was opened.
      type: str
      sample: "2026-11-23T22:00:04Z"
    closed:
      description: When the last thing happened in it.
      type: str
      sample: "2026-11-24T01:12:40Z"
    totals:
      description:
        - How many virtual machines were C(selected) and C(planned), are C(done), C(failed),
          C(left) and C(skipped), and how many tries were C(lost), of which nobody said how they
          went.
        - How many are C(measured) by their RPO, and C(within_rpo).
        - Of those that are done, the bytes of their disks (C(size)), those C(bytes_read), those
          that were new to the repository (C(bytes_new)) and those C(added) to it, and the sums of
          the seconds that they took (C(work_seconds)) and were expected to take
          (C(expected_seconds)).
        - C(seconds) from the opening to the last thing that happened.
      type: dict
      sample: {selected: 60, planned: 59, done: 59, failed: 0, left: 1, skipped: 0, lost: 0,
        measured: 60, within_rpo: 59, size: 6442450944000, bytes_read: 64424509440,
        bytes_new: 21474836480, added: 12884901888, seconds: 11556, work_seconds: 61200,
        expected_seconds: 64800}
    machines:
      description: Each virtual machine, in the order of the plan.
      type: list
      elements: dict
      contains:
        name:
          description: Its name.
          type: str
          sample: web01
        moref:
          description: Its id in the vCenter.
          type: str
          sample: vm-42
        host:
          description: The ESXi host it was on.
          type: str
          sample: esx01.example.com
        datastores:
          description: Where its disks are.
          type: list
          elements: str
          sample: [fast]
        state:
          description: V(done), V(failed), V(left) if there was no room, or V(skipped).
          type: str
          sample: done
        message:
          description: Why it is not done.
          type: str
          sample: ""
        proxy:
          description: Who made the backup, or tried last.
          type: str
          sample: proxy1
        planned:
          description: C(proxy), C(start) and C(end) by the plan. V(null) if it had no place.
          type: dict
          sample: {proxy: proxy1, start: "2026-11-23T22:00:00Z", end: "2026-11-23T22:02:00Z"}
        tries:
          description: Each try, with C(proxy), C(start), C(end), C(seconds), C(ok), C(lost),
            C(gone) if its proxy could not be reached any more, and C(message).
          type: list
          elements: dict
          sample: [{proxy: proxy1, start: "2026-11-23T22:00:05Z", end: "2026-11-23T22:01:37Z",
            seconds: 92, ok: true, lost: false, gone: false, message: ""}]
        point:
          description: The id of the restore point.
          type: str
          sample: 20261123T220009Z-3f9a2c1b
        method:
          description: V(full) or V(incremental).
          type: str
          sample: incremental
        transport:
          description: How its disks were read.
          type: str
          sample: hotadd
        transport_reason:
          description: Why so.
          type: str
          sample: the first of those to try
        size:
          description: Bytes of its disks, as far as it is known. So are C(bytes_read),
            C(bytes_new) and C(added).
          type: int
          sample: 10737418240
        seconds:
          description: How long it took.
          type: int
          sample: 92
        expected_seconds:
          description: How long it was expected to take.
          type: int
          sample: 120
        basis:
          description: What that was based on.
          type: str
          sample: its last 5 increments
        age_before:
          description: How many seconds old its newest restore point was when the window began.
          type: int
          sample: 85000
        newest:
          description: When its newest restore point was made. V(null) if it has none.
          type: str
          sample: "2026-11-23T22:00:09Z"
        rpo:
          description: How many seconds old that may become.
          type: int
          sample: 86400
        within_rpo:
          description: Whether it was younger at the end of the window.
          type: bool
          sample: true
        missed:
          description: How many windows in a row had no room for it, with this one.
          type: int
          sample: 0
        never:
          description: Whether no window as long as this one has room for it.
          type: bool
          sample: false
        concerns:
          description: What to know of it, and what to do.
          type: list
          elements: str
          sample: []
        warnings:
          description: What the backup warned of.
          type: list
          elements: str
          sample: []
        leftovers:
          description: What could not be taken back in vSphere.
          type: list
          elements: str
          sample: []
    missed:
      description: For O(vdisk.lifecycle.vmdk_window_plan#module:missed) of the next plan. Other
        than that of the last plan, it knows who had a turn after all, and who had none.
      type: dict
      sample: {vm-44: 1}
    limits:
      description: How many backups might run at a time, as in the plan.
      type: dict
      sample: {host: 4, datastore: 4, repository: 0, hosts: {}, datastores: {}}
    peaks:
      description: How many did.
      type: dict
      sample: {repository: 4, hosts: {esx01.example.com: 2}, datastores: {fast: 2},
        proxies: {proxy1: 2}}
    proxies:
      description: What each proxy did.
      type: list
      elements: dict
      sample: [{name: proxy1, streams: 2, peak: 2, done: 30, failed: 0, lost: 0,
        busy_seconds: 20112, bytes_read: 32212254720}]
    verify:
      description: C(ok), C(message) and the first 100 C(findings). Empty if nothing was verified.
      type: dict
      sample: {ok: true, message: "", findings: []}
    prune:
      description: C(ok), C(message), how many restore points were C(kept) and C(dropped),
        C(deleted_bytes) and C(condemned_bytes). Empty if nothing was pruned.
      type: dict
      sample: {ok: true, message: "", kept: 1740, dropped: 58, deleted_bytes: 134217728,
        condemned_bytes: 201326592}
    trend:
      description: C(name), C(start), C(status) and the totals of the last 30 windows, the oldest
        first, this one last.
      type: list
      elements: dict
      sample: []
html:
  description: The page.
  returned: success
  type: str
  sample: /srv/windows/nightly/report.html
json:
  description: The same as JSON.
  returned: success
  type: str
  sample: /srv/windows/nightly/report.json
"""

import os

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_age
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.build import (
    ReportWish,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.earlier import (
    read_earlier,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.write import (
    JSON,
    plan_report,
    read_events,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import VmdkModule


def make_plan(module: VmdkModule) -> Plan:
    """Reads the log; only writing the files is left to do."""
    params = module.params
    metrics = params["metrics"]
    if metrics is not None and not metrics.endswith(".prom"):
        raise InvalidRequest(
            "metrics has to end with .prom", found=metrics, hint="The collector reads no others."
        )
    wish = ReportWish(
        events=read_events(params["log"]),
        title=params["title"],
        vms=params["vms"],
        skipped=params["skipped"],
        points=params["restore_points"],
        rpo=parse_age(params["rpo"], "rpo"),
        rpos={name: parse_age(str(age), "rpos") for name, age in params["rpos"].items()},
        verify=params["verify"],
        prune=params["prune"],
        earlier=read_earlier(params["history"], os.path.join(params["dest"], JSON)),
    )
    return plan_report(wish, params["dest"], metrics)


def main() -> None:
    """Entry point."""
    rows = {"type": "list", "elements": "dict", "default": []}
    words = {"type": "dict", "default": {}}
    module = VmdkModule(
        argument_spec={
            "log": {"type": "path", "required": True},
            "vms": rows,
            "skipped": rows,
            "restore_points": {"type": "list", "elements": "dict"},
            "rpo": {"type": "str", "default": "24h"},
            "rpos": words,
            "verify": words,
            "prune": words,
            "title": {"type": "str", "default": "Backup window"},
            "history": {"type": "list", "elements": "path", "default": []},
            "dest": {"type": "path", "required": True},
            "metrics": {"type": "path"},
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
