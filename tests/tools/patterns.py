# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write extensions/patterns/ out of playbooks/vars/awx_templates.yml: surveys are said once.

What a pattern consists of: github.com/ansible/pattern-service, specifications/. A pattern cannot
say whole numbers as defaults of a survey; there the roles' own hold.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ROOT / "extensions/patterns"
SOURCE = "playbooks/vars/awx_templates.yml"
LICENCE = """---
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by tests/tools/patterns.py.
"""
ENVIRONMENT = {
    "name": "vdisk.lifecycle",
    "description": "Ansible with vdisk.lifecycle and its libraries",
    "image_name": "vdisk/lifecycle_ee",
    "pull": "missing",
}
TYPES = {"text": "str", "integer": "int", "multiplechoice": "str"}
EXAMPLES = {
    "target": "proxy1.example.com",
    "backup_window_repository": "/srv/backup",
    "backup_window_deadline": "7h",
    "patch_window_upgrade": "security",
    "restore_drill_repository": "/srv/backup",
}
Facts = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Knows Ansible's !unsafe."""


class _Dumper(yaml.SafeDumper):
    """Writes YAML as ansible-lint wants it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else '"' if "{{" in text or not text or ": " in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_mapping(node, deep=True))


def templates() -> list[Facts]:
    """Those that have a pattern."""
    content = yaml.load((ROOT / SOURCE).read_text(encoding="utf-8"), _Loader)
    return [template for template in content["awx_templates"] if "pattern" in template]


def definition(template: Facts) -> Facts:
    """meta/pattern.json"""
    return {
        "schema_version": "1.0.0",
        "name": template["pattern"],
        "title": template["title"],
        "description": template["about"],
        "short_description": template["description"],
        "tags": ["backup", "storage", "vmware"],
        "aap_resources": {
            "controller_project": {
                "name": f"{template['name']} (vdisk.lifecycle)",
                "description": f"The pattern {template['pattern']} of the collection",
            },
            "controller_execution_environment": ENVIRONMENT,
            "controller_job_templates": [_job_template(template)],
        },
    }


def _job_template(template: Facts) -> Facts:
    named = {"name": template["name"], "description": template["description"]}
    return {
        **named,
        "execution_environment": ENVIRONMENT["name"],
        "playbook": "site.yml",
        "primary": True,
        "ask_credential_on_launch": True,
        "ask_inventory_on_launch": True,
        "ask_verbosity_on_launch": True,
        "forks": template.get("forks", 0),
        "survey": {**named, "spec": [_question(each) for each in template["survey"]]},
    }


def _question(question: Facts) -> Facts:
    kept = ("type", "question_name", "question_description", "variable", "required", "choices")
    made = {key: question[key] for key in kept if key in question}
    if isinstance(question.get("default"), str):
        made["default"] = question["default"]
    return made


def playbook(template: Facts) -> str:
    """playbooks/site.yml"""
    play: Facts = {"name": template["description"]}
    name = Path(template["playbook"]).stem
    play["ansible.builtin.import_playbook"] = f"vdisk.lifecycle.{name}"
    if "extra_vars" in template:
        play["vars"] = template["extra_vars"]
    return _yaml([play])


def arguments(template: Facts) -> str:
    """playbooks/site.meta.yml"""
    options = {each["variable"]: _option(each) for each in template["survey"]}
    specification = {
        "short_description": template["description"],
        "description": [template["about"]],
        "author": ["the vdisk.lifecycle authors"],
        "options": options,
        "examples": _example(template),
    }
    content = {
        "short_description": template["description"],
        "description": template["about"],
        "argument_specs": {"main": specification},
    }
    return _yaml(content)


def _example(template: Facts) -> str:
    """How a playbook would start it."""
    name = f"vdisk.lifecycle.{template['pattern']}"
    asked = [each["variable"] for each in template["survey"] if each["required"]]
    needed = {variable: EXAMPLES[variable] for variable in asked if variable in EXAMPLES}
    play = {"ansible.builtin.import_playbook": name, "vars": needed}
    return yaml.safe_dump([play], sort_keys=False)


def _yaml(content: Any) -> str:
    return LICENCE + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120)


def _option(question: Facts) -> Facts:
    kept = ("required", "choices", "default")
    made = {"type": TYPES[question["type"]], "description": question["question_description"]}
    return made | {key: question[key] for key in kept if key in question}


def files() -> dict[Path, str]:
    """All that is written, and what."""
    found = {}
    for template in templates():
        folder = PATTERNS / template["pattern"]
        text = json.dumps(definition(template), indent=2) + "\n"
        found[folder / "meta/pattern.json"] = text
        found[folder / "playbooks/site.yml"] = playbook(template)
        found[folder / "playbooks/site.meta.yml"] = arguments(template)
    return found


def main() -> None:
    """With --check: say what is not as it would be written."""
    wrong = []
    for path, text in files().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        wrong.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if wrong and "--check" in sys.argv:
        raise SystemExit(f"{SOURCE} says otherwise; run tests/tools/patterns.py: {wrong}")


if __name__ == "__main__":
    main()
