# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of the role repository, as Ansible writes them and Prometheus reads them."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.window_report import (
    reading,
)

TEMPLATE = pathlib.Path(__file__).parents[3] / "roles/repository/templates/repository.prom.j2"
NAMES = ('my "old" disk\\1', "two\nlines", "twin", "twin")


def test_whatever_machines_are_called_the_file_can_be_read(tmp_path):
    newest = "2026-11-23T22:00:00Z"
    sources = [
        {"name": name, "id": f"vm-{number}", "points": 1, "newest": newest}
        for number, name in enumerate(NAMES)
    ]
    numbers = dict.fromkeys(("points", "damaged_points", "stored", "logical"), 1)
    summary = {**numbers, "healthy": True, "sources": sources, "verified": {"list": "2026-11-23"}}
    facts = {"repository_url": 'C:\\"x"', "repository_summary": summary}
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    ansible = pathlib.Path(sys.executable).with_name("ansible")
    told = f"src={TEMPLATE} dest={tmp_path}/it.prom"
    command = [ansible, "localhost", "-m", "ansible.builtin.template", "-a", told]
    subprocess.run([*command, "-e", f"@{tmp_path}/facts.json"], check=True, capture_output=True)
    found = reading.metrics_in((tmp_path / "it.prom").read_text())
    name = "vdisk_repository_newest_timestamp_seconds"
    labels = [dict(labels) for metric, labels in found if metric == name]
    assert sorted(each["source"] for each in labels) == sorted(NAMES)
    assert {each["repository"] for each in labels} == {'C:\\"x"'}
