# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for AWX, patterns and Event-Driven Ansible fit to each other, and to the roles."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import jsonschema
import pytest
import yaml
from ansiblelint import schemas

from .awx_server import answers, playbooks
from .definitions import CREDENTIAL_TYPES, PROJECT, SITE, TEMPLATES

PATTERNS = sorted((PROJECT / "extensions/patterns").iterdir())
RULEBOOK = PROJECT / "extensions/eda/rulebooks/window_report.yml"


def options_of(role):
    """Name -> option, of all entry points of a role."""
    path = PROJECT / "roles" / role / "meta/argument_specs.yml"
    specs = yaml.safe_load(path.read_text())["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


def test_surveys_ask_for_what_roles_know_and_nothing_else():
    for template in TEMPLATES.values():
        fits(template)


def fits(template):
    role = template["playbook"].removeprefix("playbooks/").removesuffix(".yml")
    options, extra = options_of(role), template.get("extra_vars", {})
    assert template["playbook"] in playbooks(PROJECT)
    for name in extra:
        assert name == "target" or name in options
    for question in template["survey"]:
        variable, default = question["variable"], question.get("default")
        # What has a default cannot be required: AWX lets no schedule leave it to the default.
        assert default is None or not question["required"], variable
        used = re.search(rf"\b{variable}\b", json.dumps(extra))
        assert variable.startswith("survey_") == bool(used), variable
        if variable == "target" or used:
            continue
        option = options[variable]
        # An empty answer is nothing at all for ansible-core: see awx_templates.yml.
        assert question["type"] != "text" or default != "", variable
        if default is not None:
            assert str(default).lower() == str(option.get("default", default)).lower(), variable
        if "choices" in option:
            assert set(question["choices"]) <= set(option["choices"])


def test_defaults_of_credentials_leave_no_variable_empty():
    """One that is there and empty is not what modules take for missing."""
    for kind in CREDENTIAL_TYPES.values():
        needed = set(kind["inputs"]["required"])
        optional = {field["id"] for field in kind["inputs"]["fields"]} - needed
        for text in kind["injectors"]["env"].values():
            assert (
                not any(name in text for name in optional) or "default(" in text or "else" in text
            )


def test_schedules_and_answers_belong_to_something():
    asked = {question["variable"] for each in TEMPLATES.values() for question in each["survey"]}
    names = {template["name"] for template in TEMPLATES.values()}
    assert set(SITE["awx_own_answers"]) <= asked
    for schedule in SITE["awx_schedules"]:
        assert schedule["template"] in names
        assert set(schedule.get("answers", {})) <= asked


def site_survey(template):
    """The survey of a template, as configure_awx.yml makes it."""
    known = {"required": False, "default": "of the site"}
    spec = template["survey"]
    own = SITE["awx_own_answers"]
    return {"spec": [{**each, **known} if each["variable"] in own else each for each in spec]}


def test_patterns_are_what_the_templates_say():
    tool = PROJECT / "tests/tools/patterns.py"
    done = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", PATTERNS, ids=lambda folder: folder.name)
def test_a_pattern_has_what_the_specification_wants(folder):
    definition = json.loads((folder / "meta/pattern.json").read_text())
    assert definition["name"] == folder.name
    assert len(definition["title"]) <= 64
    assert not definition["short_description"].endswith(".")
    (job,) = definition["aap_resources"]["controller_job_templates"]
    environment = definition["aap_resources"]["controller_execution_environment"]
    assert job["execution_environment"] == environment["name"]
    assert f"extensions/patterns/{folder.name}/playbooks/{job['playbook']}" in playbooks(PROJECT)
    questions = job["survey"]["spec"]
    for question in questions:
        assert isinstance(question.get("default", ""), str)
        assert re.fullmatch("[a-z0-9_]{1,64}", question["variable"])
    arguments = yaml.safe_load((folder / "playbooks/site.meta.yml").read_text())
    options = arguments["argument_specs"]["main"]["options"]
    assert set(options) == {question["variable"] for question in questions}


def test_the_rulebook_is_one_and_starts_templates_that_are_there():
    content = yaml.safe_load(RULEBOOK.read_text())
    schema = json.loads((PROJECT / schemas.__path__[0] / "rulebook.json").read_text())
    jsonschema.validate(content, schema)
    templates = {template["name"]: template for template in TEMPLATES.values()}
    for rule in content[0]["rules"]:
        job = rule["action"]["run_job_template"]
        template = templates[job["name"]]
        role = template["playbook"].removeprefix("playbooks/").removesuffix(".yml")
        known = {question["variable"] for question in template["survey"]} | set(options_of(role))
        given = job["job_args"]["extra_vars"]
        for state in re.findall(r"'state', 'eq', '(\w+)'", given.get("survey_machines", "")):
            # Else the text could be empty, and mean all machines.
            assert f"event.payload.totals.{state} > 0" in rule["condition"]
        assert set(given) <= known
        asked = site_survey(template)
        variables = {question["variable"] for question in asked["spec"]}
        answers(asked, {key: given[key] for key in given if key in variables})
