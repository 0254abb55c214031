# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them: a private data directory that ansible-runner gets, and its events."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

from .awx_server import answers, injected
from .definitions import CREDENTIAL_TYPES, PROJECT, TEMPLATES

Facts = dict[str, t.Any]


class Answer(str):
    """What somebody typed: never a template, whatever braces it has."""


def typed(value: t.Any) -> t.Any:
    """All texts in it as AWX hands on what it does not trust."""
    if isinstance(value, dict):
        return {key: typed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [typed(each) for each in value]
    return Answer(value) if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(Answer, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


@dataclasses.dataclass
class Job:
    """A job that has ended."""

    folder: Path
    status: str

    @functools.cached_property
    def events(self) -> list[Facts]:
        """In the order in which AWX shows them."""
        files = (self.folder / "artifacts/job/job_events").glob("*.json")
        events = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        return sorted(events, key=lambda event: t.cast("int", event["counter"]))

    @property
    def output(self) -> str:
        return "\n".join(event["stdout"] for event in self.events)

    def results(self, task: str, kind: str = "runner_on_ok") -> list[Facts]:
        """Events of one kind of a task."""
        return [event for event in self.events if event["event"] == kind and _task(event) == task]

    def said(self, task: str) -> str:
        """What a task of ansible.builtin.debug printed."""
        return "\n".join(str(event["event_data"]["res"]["msg"]) for event in self.results(task))


def _task(event: Facts) -> str:
    return str(event["event_data"].get("task"))


def launch(
    folder: Path,
    name: str,
    given: Facts,
    *,
    inventory: Facts,
    credentials: Facts,
    environment: Facts | None = None,
) -> Job:
    """The job template of that name, with these answers to its survey."""
    template = TEMPLATES[name]
    asked = answers({"spec": template["survey"]}, given)
    typed = {
        key: Answer(value) if isinstance(value, str) else value for key, value in asked.items()
    }
    variables = {**template.get("extra_vars", {}), **typed}
    for kind, inputs in credentials.items():
        environment = {**(environment or {}), **injected(CREDENTIAL_TYPES[kind], inputs)}
    return run(folder, template["playbook"], variables, inventory, environment or {})


def run(
    folder: Path,
    playbook: str,
    variables: Facts,
    inventory: Facts,
    environment: Facts,
    project: Path = PROJECT,
    words: str = "",
) -> Job:
    """One playbook of a project; `words` stand on the command line."""
    for part in ("env", "inventory"):
        (folder / part).mkdir(parents=True)
    (folder / "project").symlink_to(project)
    own = {"ANSIBLE_COLLECTIONS_PATH": str(PROJECT / ".venv/collections"), "LC_ALL": "C.UTF-8"}
    (folder / "env/envvars").write_text(yaml.safe_dump({**own, **environment}))
    (folder / "env/extravars").write_text(yaml.dump(variables, Dumper=_Dumper, sort_keys=False))
    hosts = folder / "inventory/hosts"
    hosts.write_text(f"#!/usr/bin/env python3\nprint({json.dumps(inventory)!r})\n")
    hosts.chmod(0o700)
    (folder / "env/cmdline").write_text(f"--forks 20 {words}")
    command = [sys.executable, "-m", "ansible_runner", "run", str(folder), "-p", playbook]
    subprocess.run([*command, "--ident", "job", "--quiet"], check=False, stdin=subprocess.DEVNULL)
    return Job(folder, (folder / "artifacts/job/status").read_text())


def inventory_of(*names: str, **variables: t.Any) -> Facts:
    """Proxies that are this machine."""
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        **variables,
    }
    return {
        "backup_window_proxies": {"hosts": list(names)},
        "_meta": {"hostvars": dict.fromkeys(names, here)},
    }


def secrets_in(job: Job, *secrets: str) -> list[str]:
    """Events that hold one: AWX keeps them for all to read who may see the job."""
    texts = {event["uuid"]: json.dumps(event) for event in job.events}
    return [uuid for uuid, text in texts.items() if any(secret in text for secret in secrets)]
