# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report, as Ansible has them made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.window_report import (
    nights,
    reading,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "report.md"


@pytest.fixture
def asked(tmp_path):
    """Options for the report of a small night."""
    night = nights.Night(9)
    return {
        "log": night.write(tmp_path / "log.jsonl"),
        "vms": night.vms,
        "restore_points": night.points,
        "dest": tmp_path / "out",
        "metrics": tmp_path / "vdisk_nightly.prom",
        "history": [str(tmp_path / "out" / "report.json"), str(tmp_path / "none")],
    }


def test_the_second_run_changes_nothing(modules, asked):
    foretold = modules.run("vmdk_window_report", check_mode=True, **asked)
    assert foretold["changed"] and not asked["dest"].exists() and not asked["metrics"].exists()
    first = modules.vmdk_window_report(**asked)
    assert first["changed"] and first["report"] == foretold["report"]
    assert first["diff"] == foretold["diff"]
    page, told = Path(first["html"]), Path(first["json"])
    assert json.loads(told.read_text()) == first["report"]
    assert reading.Page(page.read_text()).root.one("h1").text == "Backup window"
    found = reading.metrics_in(asked["metrics"].read_text())
    assert ("window", "vdisk_nightly") in next(iter(found))[1]
    assert asked["metrics"].stat().st_mode & 0o777 == 0o644
    assert page.stat().st_mode & 0o777 == told.stat().st_mode & 0o777 == 0o600
    before = {path: path.stat().st_mtime_ns for path in (page, told, asked["metrics"])}
    for check_mode in (False, True):
        assert not modules.run("vmdk_window_report", check_mode=check_mode, **asked)["changed"]
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert {path.name for path in asked["dest"].iterdir()} == {"report.html", "report.json"}
    page.write_text("spoilt")
    mended = modules.vmdk_window_report(**asked)
    assert mended["changed"] and list(mended["diff"]["before"]) == [str(page)]


def test_a_log_that_is_not_there_is_not_made(modules, asked, tmp_path):
    failed = modules.fail("vmdk_window_report", log=tmp_path / "no.jsonl", dest=tmp_path / "o")
    assert "there is no log" in failed["msg"]
    assert not (tmp_path / "no.jsonl").exists()
    (tmp_path / "no.jsonl").write_text("")
    failed = modules.fail("vmdk_window_report", log=tmp_path / "no.jsonl", dest=tmp_path / "o")
    assert "was not opened" in failed["msg"] and not (tmp_path / "o").exists()


def test_what_the_collector_would_not_read_is_refused(modules, asked):
    failed = modules.fail("vmdk_window_report", **{**asked, "metrics": "/tmp/nightly.txt"})
    assert "has to end with .prom" in failed["msg"]
    asked["vms"] = [{"name": "web01"}]
    assert "an entry has no moref" in modules.fail("vmdk_window_report", **asked)["msg"]


def test_the_rules_of_the_documentation_speak_of_metrics_that_there_are(modules, asked):
    rules = re.search(r"```yaml\n(groups:.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]
    names = set()
    for rule in yaml.safe_load(rules)["groups"][0]["rules"]:
        names |= set(re.findall(r"vdisk_window_\w+", rule["expr"]))
    asked["verify"] = {"ok": True}
    modules.vmdk_window_report(**asked)
    assert names <= {name for name, _labels in reading.metrics_in(asked["metrics"].read_text())}
    assert len(names) >= 4
