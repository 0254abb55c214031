# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vCenter with three clusters, three proxies, a repository, and windows as users run them."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)

PLAYBOOK = pathlib.Path(sys.executable).with_name("ansible-playbook")
PASSPHRASE = "the passphrase of these nights"
DISK = 2000  # the key of the only disk of each machine


@dataclasses.dataclass(frozen=True)
class Machine:
    """As vCenter says, asked by pyVmomi."""

    moref: str
    name: str
    cluster: str
    host: str
    datastore: str
    size: int


@dataclasses.dataclass
class Night:
    """What a window left behind."""

    folder: pathlib.Path
    printed: str

    @property
    def events(self) -> list[dict[str, t.Any]]:
        lines = (self.folder / "log.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines if line]

    def events_so_far(self) -> list[dict[str, t.Any]]:
        return self.events if (self.folder / "log.jsonl").exists() else []

    @property
    def plan(self) -> dict[str, t.Any]:
        return dict(self.events[0]["plan"])

    @property
    def report(self) -> dict[str, t.Any]:
        return dict(json.loads((self.folder / "report.json").read_text()))

    def tries(self) -> dict[str, list[tuple[dict[str, t.Any], dict[str, t.Any]]]]:
        """moref → (start, end) of each try."""
        found: dict[str, list[tuple[dict[str, t.Any], dict[str, t.Any]]]] = {}
        begun: dict[str, dict[str, t.Any]] = {}
        for event in self.events:
            if event["event"] == "start":
                begun[event["moref"]] = event
            elif event["event"] in ("end", "lost"):
                found.setdefault(event["moref"], []).append((begun.pop(event["moref"]), event))
        return found

    def done(self) -> set[str]:
        return {moref for moref, all in self.tries().items() if all[-1][1].get("ok")}


@dataclasses.dataclass
class Site:
    folder: pathlib.Path
    vcenter: t.Any
    hosts: dict[str, dict[str, t.Any]]
    machines: dict[str, Machine] = dataclasses.field(default_factory=dict)

    def run(self, name: str, *arguments: str, code: int = 0, **settings: t.Any) -> Night:
        """The playbook, with the role's variables without their prefix."""
        process = self.start(name, *arguments, **settings)
        printed = process.communicate(timeout=900)[0]
        assert process.returncode == code, printed
        return Night(self.folder / "windows" / name, printed)

    def start(self, name: str, *arguments: str, **settings: t.Any) -> subprocess.Popen[str]:
        words = {f"backup_window_{key}": value for key, value in settings.items()}
        words["backup_window_repository"] = str(self.folder / "repository")
        words["backup_window_folder"] = str(self.folder / "windows")
        words["backup_window_name"] = name
        (self.folder / "window.json").write_text(json.dumps(words))
        group = {"backup_window_proxies": {"hosts": self.hosts}}
        (self.folder / "hosts.json").write_text(json.dumps({"all": {"children": group}}))
        command = [str(PLAYBOOK), "vdisk.lifecycle.backup_window", "-i", "hosts.json"]
        command += ["-e", "@window.json", "--forks", "8", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(),
            start_new_session=True,
        )

    def environment(self) -> dict[str, str]:
        """Of the controller: who logs in where is told there only."""
        own = {"VDISK_PASSPHRASE": PASSPHRASE, "ANSIBLE_FORCE_COLOR": "0", "LC_ALL": "C.UTF-8"}
        own["VDISK_STATE_DIR"] = str(self.folder / "controller")
        own["ANSIBLE_DISPLAY_SKIPPED_HOSTS"] = "false"
        return {**os.environ, **self.vcenter.environment(), **own}

    def missed(self, counts: dict[str, int]) -> None:
        """As an earlier window would have left it."""
        (self.folder / "windows").mkdir()
        (self.folder / "windows/missed.json").write_text(json.dumps(counts))

    def tasks(self, *entries: dict[str, t.Any]) -> str:
        path = self.folder / "tasks.json"
        path.write_text(json.dumps(entries))
        return str(path)

    @property
    def repository(self) -> Repository:
        return Repository.open(str(self.folder / "repository"), PASSPHRASE)

    def left_behind(self) -> list[t.Any]:
        """Of ours: snapshots and leases in vCenter, journals on proxies."""
        state = self.vcenter.state()
        journals = [str(path) for path in self.folder.glob("*/jobs/*")]
        return [each for each in (state["snapshots"], state["leases"], journals) if each]
