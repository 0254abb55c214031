# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/configure_awx.yml, with the real modules of awx.awx, against a small AWX."""

from __future__ import annotations

import pytest

from .awx_server import TOKEN, Awx, Refused, Server, answers, check_survey
from .definitions import PROJECT, SITE, TEMPLATES
from .jobs import run, secrets_in, typed

SECRETS = ("the-password-of-vcenter", "the-passphrase-of-backups")
SITE_YML = {
    "awx_repository": "/srv/backup",
    "awx_proxies": [
        {"name": "proxy1", "variables": {"backup_window_streams": 4}},
        {"name": "proxy2"},
    ],
    "awx_credentials": [
        {
            "name": "vCenter",
            "type": "vdisk vCenter",
            "inputs": {"host": "vc", "username": "backup", "password": SECRETS[0]},
        },
        {
            "name": "passphrase",
            "type": "vdisk repository",
            "inputs": {"passphrase": SECRETS[1]},
        },
    ],
}


@pytest.fixture
def configure(awx_awx, tmp_path):
    """configure(awx): runs it, and tells what was written; each time a job of its own."""
    count = iter(range(9))

    def start(awx, check=False, **variables):
        with Server(awx) as server:
            collections = f"{PROJECT}/.venv/collections:{awx_awx}"
            environment = {
                "CONTROLLER_HOST": server.url,
                "CONTROLLER_OAUTH_TOKEN": TOKEN,
                "ANSIBLE_COLLECTIONS_PATH": collections,
                "ANSIBLE_DEPRECATION_WARNINGS": "false",  # those of awx.awx
            }
            folder = tmp_path / str(next(count))
            book = "playbooks/configure_awx.yml"
            variables = {**SITE_YML, **variables}
            job = run(folder, book, variables, {}, environment, words="--check" * check)
        assert job.status == "successful", job.output
        assert secrets_in(job, TOKEN, *SECRETS) == []
        written = list(awx.writes)
        awx.writes.clear()
        return job, written

    return start


def asked_in(awx, name):
    """The survey of a template, as AWX has it."""
    return awx.surveys[awx.named("job_templates", f"vdisk: {name}")["id"]]


def expected(template, **answers):
    """The questions of the files, with the site's own answers for defaults."""
    own = {"target": "proxy1", **answers}
    own |= {name: "/srv/backup" for name in SITE["awx_own_answers"] if name != "target"}
    return [
        {**question, "default": own[question["variable"]], "required": False}
        if question["variable"] in own
        else question
        for question in template["survey"]
    ]


@pytest.mark.one_a_build
def test_awx_becomes_what_the_files_say_and_stays_so(configure):
    awx = Awx(PROJECT)
    careless = {"backup_window_safe_mode": "false"}
    _job, written = configure(awx, awx_answers=careless)
    assert len(written) == len([word for word in written if word.startswith("POST ")])
    for name, template in TEMPLATES.items():
        survey = asked_in(awx, name)
        assert survey["spec"] == expected(template, **careless)
        made = awx.named("job_templates", template["name"])
        assert (made["playbook"], made["survey_enabled"]) == (template["playbook"], True)
        linked = awx.links("job_templates", made["id"], "credentials")
        assert {each["name"] for each in linked} == {"vCenter", "passphrase"}
    for kind in SITE["awx_credential_types"]:
        found = awx.named("credential_types", kind["name"])
        assert {key: found[key] for key in kind} == kind
    proxies = awx.named("groups", "backup_window_proxies")
    members = awx.links("groups", proxies["id"], "hosts")
    assert {each["name"] for each in members} == {"proxy1", "proxy2"}
    nightly = awx.named("schedules", "vdisk: nightly backup window")
    window = awx.named("job_templates", "vdisk: backup window")
    assert nightly["unified_job_template"] == window["id"]
    assert len(awx.objects["schedules"]) == len(SITE["awx_schedules"])
    assert nightly["rrule"].startswith("DTSTART;TZID=Etc/UTC:20260101T220000 RRULE:FREQ=DAILY;")

    # The second run, of some of it because each of them takes a second: nothing to do but one.
    by_hand = awx.add("hosts", {"name": "proxy3", "inventory": proxies["inventory"]})
    awx.link("groups", proxies["id"], "hosts", {"id": by_hand["id"]})
    somebody_changed = asked_in(awx, "proxies")["spec"][0]
    somebody_changed["default"] = "another_group"
    some = [
        {**TEMPLATES[name], "extra_vars": typed(TEMPLATES[name]["extra_vars"])}
        for name in ("backup window", "proxies")
    ]
    some = {"awx_templates": some, "awx_schedules": [], "awx_answers": careless}
    again, written = configure(awx, **some)
    path = f"/api/v2/job_templates/{awx.named('job_templates', 'vdisk: proxies')['id']}"
    assert written == [f"POST {path}/survey_spec/"]
    assert asked_in(awx, "proxies")["spec"] == expected(TEMPLATES["proxies"])
    changed = [event for event in again.events if event["event_data"].get("res", {}).get("changed")]
    assert len(changed) == 2  # the item, and its task

    # Of a site that says less than AWX has, nothing is taken away.
    less = {"awx_credentials": [], "awx_proxies": [], "awx_target": "proxy1"}
    one = {**some, "awx_templates": some["awx_templates"][:1]}
    _job, written = configure(awx, **one, **less)
    assert written == []


@pytest.mark.one_a_build
def test_check_mode_writes_nothing(configure):
    awx = Awx(PROJECT)
    _job, written = configure(awx, check=True)
    assert written == []


def test_the_small_awx_refuses_what_awx_refuses():
    question = {"question_name": "Q", "variable": "v", "required": True}
    for wrong in (
        {"type": "integer", "default": "4"},
        {"type": "multiplechoice", "choices": ["a"], "default": "b"},
        {"type": "boolean"},
    ):
        with pytest.raises(Exception, match=r"v: |boolean"):
            check_survey({"name": "S", "description": "", "spec": [{**question, **wrong}]})
    required = {**question, "type": "text", "default": "an answer"}
    assert answers({"spec": [{**required, "required": False}]}, {}) == {"v": "an answer"}
    with pytest.raises(Refused, match="'v' value missing"):
        answers({"spec": [required]}, {})
