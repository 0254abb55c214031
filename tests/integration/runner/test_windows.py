# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates as AWX starts them, by survey, credentials and inventory; what AWX then shows."""

from __future__ import annotations

import json

import pytest

from .definitions import TEMPLATES
from .jobs import inventory_of, launch, run, secrets_in, typed

PASSPHRASE = "a passphrase that nobody sees"
MIB = 1 << 20


@pytest.fixture
def credentials(shared_vcenter):
    """What an operator has typed into AWX. Nobody ticked `insecure`."""
    vcenter = {"host": shared_vcenter.hostname, "port": str(shared_vcenter.port)}
    vcenter |= {"username": shared_vcenter.username, "password": shared_vcenter.password}
    return {"vdisk vCenter": vcenter, "vdisk repository": {"passphrase": PASSPHRASE}}


@pytest.fixture
def job(tmp_path, shared_vcenter, credentials):
    """job(template, answers): it has ended well, and no event has a secret."""

    kept = {"backup_window_folder": f"{tmp_path}/kept", "backup_window_streams": 1}

    def start(name, inventory=None, **given):
        ended = launch(
            tmp_path / name.replace(" ", "-"),
            name,
            given if "survey_proxies" in given else {"target": "proxy1", **given},
            inventory=inventory or inventory_of("proxy1", **kept),
            credentials=credentials,
            environment={
                "SSL_CERT_FILE": shared_vcenter.ca_file,
                "VDISK_STATE_DIR": f"{tmp_path}/state",
            },
        )
        assert ended.status == "successful", ended.output
        assert secrets_in(ended, PASSPHRASE, shared_vcenter.password) == []
        return ended

    return start


@pytest.mark.one_a_build
def test_a_night_and_the_day_after(job, modules, tmp_path):
    """A window, the care of its repository, and a restore that is only tried."""
    url = str(tmp_path / "repository")
    modules.vmdk_repository(url=url, passphrase=PASSPHRASE)
    answers = {"survey_machines": "files01, no-such-*", "backup_window_verify": "list"}
    night = job("backup window", backup_window_repository=url, **answers)
    (report,) = (tmp_path / "kept").glob("*/report.json")
    content = json.loads(report.read_text())
    assert [(each["name"], each["state"]) for each in content["machines"]] == [("files01", "done")]
    assert "The one machine is backed up." in night.said("Tell how it went")
    points = modules.vmdk_backup_info(repository=url, passphrase=PASSPHRASE)["restore_points"]
    assert [point["source"]["name"] for point in points] == ["files01"]

    state = inventory_of("proxy1", repository_state_dir=str(tmp_path / "care"))
    care = job("repository", state, repository_url=url)
    assert "1" in care.said("Tell")
    (tried,) = job(
        "restore a machine",
        restore_vm_repository=url,
        survey_point="files01@latest",
        survey_new_name="files02",
    ).results("Tell")
    assert tried["event_data"]["res"]["msg"] == ["files02: planned"]


@pytest.mark.one_a_build
def test_a_patch_window_in_safe_mode_looks_at_running_machines(job):
    window = job("patch window", inventory_of("proxy1", "web01"), survey_machines="web01")
    assert window.said("Tell how it went") == "['web01: not_tried']"


@pytest.mark.one_a_build
def test_a_drill_starts_what_was_backed_up(job, modules, tmp_path, sector):
    url = str(tmp_path / "repository")
    modules.vmdk_repository(url=url, passphrase=PASSPHRASE)
    for name in ("speaks01", "other01"):
        disk = str(sector(name=f"{name}.img"))
        modules.vmdk_backup(path=disk, repository=url, passphrase=PASSPHRASE)
    place = inventory_of(
        "proxy1",
        restore_drill_boot={"marker": "VDISK64", "accelerator": "tcg", "timeout": 60},
        restore_drill_report_dir=str(tmp_path / "drills"),
    )
    job("restore drill", place, restore_drill_repository=url, survey_machines="speaks.*")
    (report,) = (tmp_path / "drills").rglob("*.json")
    assert "speaks01" in report.read_text()
    assert "other01" not in report.read_text()


@pytest.mark.one_a_build
def test_a_proxy_is_looked_at(job):
    looked = job("proxies", survey_proxies="backup_window_proxies")
    assert looked.said("Show what there is to do")
    assert not any(event["event_data"].get("res", {}).get("changed") for event in looked.events)


@pytest.mark.parametrize("name", ["backup window", "patch window"])
def test_only_an_empty_answer_means_all_machines(tmp_path, name):
    """`no` and `0` are names of machines, for all that YAML takes them for something else."""
    role = name.replace(" ", "_")
    asked = [f"{role}_{each}" for each in ("vms", "clusters", "tags")]
    answers = {"survey_machines": "no", "survey_clusters": "0", "survey_tags": ""}
    tell = {"name": "Tell", "ansible.builtin.debug": {"msg": f"{{{{ [{', '.join(asked)}] }}}}"}}
    project = tmp_path / "project"
    project.mkdir()
    play = {"hosts": "proxy1", "gather_facts": False, "tasks": [tell]}
    (project / "site.yml").write_text(json.dumps([play]))
    variables = {**TEMPLATES[name]["extra_vars"], **typed(answers)}
    job = run(tmp_path / "job", "site.yml", variables, inventory_of("proxy1"), {}, project)
    assert job.said("Tell") == "['False', '0', '']"


def test_progress_is_in_the_events_before_the_end_of_the_task(start, modules, tmp_path):
    """In AWX, a user's own project, with a backup that takes long."""
    url, project = str(tmp_path / "repository"), tmp_path / "project"
    modules.vmdk_repository(url=url, passphrase=PASSPHRASE)
    rate = ("--filter=noextents", "--filter=rate", "pattern", "96M", "rate=100M")
    server = start("nbdkit", "-r", *rate)
    project.mkdir()
    backup = {"path": server.uri, "repository": url, "passphrase": PASSPHRASE}
    play = {"hosts": "proxy1", "gather_facts": False}
    play["tasks"] = [{"name": "Back up", "vdisk.lifecycle.vmdk_backup": backup}]
    (project / "site.yml").write_text(json.dumps([play]))
    ended = run(tmp_path / "job", "site.yml", {}, inventory_of("proxy1"), {}, project)
    assert ended.status == "successful", ended.output
    assert secrets_in(ended, PASSPHRASE) == []
    (done,) = ended.results("Back up")
    (begun,) = ended.results("Back up", "playbook_on_task_start")
    lines = [
        event
        for event in ended.events
        if event["event"] == "verbose" and "MiB/s" in event["stdout"]
    ]
    assert len(lines) >= 2, ended.output
    assert all(line["stdout"].startswith("proxy1: ") for line in lines)
    assert begun["counter"] < lines[0]["counter"] < lines[-1]["counter"] < done["counter"]
    assert begun["created"] < lines[0]["created"] < lines[-1]["created"] < done["created"]
