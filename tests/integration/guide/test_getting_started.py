# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/getting-started.md, typed word by word by somebody who has only a clone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.tests.simulator import fixtures

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "getting-started.md"
SIMULATED, REAL = "## Virtual machines, simulated\n", "## A real vCenter\n"
# A file with its name, something to type, or what is to be seen then.
BLOCK = re.compile(r"(?:`([\w.]+)`:\n\n)?```(\w+)\n(.*?)```", re.DOTALL)
MINE = (
    "ANSIBLE_",
    "VDISK_PASS",
    "VDISK_KEY",
    "VMWARE_",
    "PYTHONPATH",
    "MAKE",
    "MFLAGS",
    "NO_COLOR",
)
ROOM = """
set -em  # jobs in groups of their own, as in a shell that somebody types into
mount -t tmpfs room /srv
mount -t tmpfs room /mnt
trap 'for job in $(jobs -p); do kill -- "-$job" || true; done' EXIT
"""
MARK = "=== next box"


def boxes(text):
    """What is to be typed, with the files made before, and what is to be seen then."""
    typed = "", ""
    for name, kind, content in BLOCK.findall(text):
        if kind == "yaml":
            assert name, f"a file without a name: {content}"
            typed = typed[0] + f"cat >{name} <<'END OF FILE'\n{content}END OF FILE\n", ""
        elif kind == "bash":
            if typed[1]:
                yield typed[0] + typed[1], ""
                typed = "", ""
            typed = typed[0], content
        else:
            assert kind == "text", kind
            yield typed[0] + typed[1], content
            typed = "", ""
    assert typed == ("", ""), "nothing is shown of the last box"


def environment(tmp_path):
    """Of a new shell of a new user."""
    bundles = "ANSIBLE_CALLBACK_PLUGINS"  # tests/tools/bundled.sh
    kept = {
        name: text
        for name, text in os.environ.items()
        if name == bundles or not name.startswith(MINE)
    }
    venv = str(ROOT / ".venv")
    path = [each for each in os.get_exec_path() if not each.startswith(venv)]
    (tmp_path / "home").mkdir()
    return {
        **kept,
        "HOME": str(tmp_path / "home"),
        "PATH": os.pathsep.join(path),
        "LC_ALL": "C.UTF-8",
        "VDISK_RUN_DIR": str(tmp_path / "run"),
        "VDISK_STATE_DIR": str(tmp_path / "state"),
    }


def require_seen(shown, output, typed):
    at = 0
    for line in shown.splitlines():
        if line.strip() == "…":
            continue
        found = re.compile("^" + ".*".join(map(re.escape, line.split("…"))), re.M).search(
            output, at
        )
        assert found, f"{typed}\nshould show:\n{line}\nand shows:\n{output[at:]}"
        at = found.end()


@pytest.fixture
def typed(tmp_path):
    """typed(boxes): what each of them showed, all in one shell."""
    (tmp_path / "vdisk.lifecycle").symlink_to(ROOT)
    started = []

    def run(commands):
        script = tmp_path / "script"
        script.write_text(ROOM + f"echo '{MARK}'\n".join(commands), encoding="utf-8")
        started.append(
            subprocess.Popen(
                [ROOT / "tests/integration/own_mounts.sh", "bash", script],
                cwd=tmp_path,
                env=environment(tmp_path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        output, _none = started[0].communicate(timeout=900)
        assert started[0].returncode == 0, output
        return output.split(f"{MARK}\n")

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_word_by_word(typed):
    text = DOCUMENT.read_text(encoding="utf-8").split(REAL)[0]
    if fixtures.why_not() or shutil.which("make") is None:
        text = text.split(SIMULATED)[0]
    steps = list(boxes(text))
    outputs = typed([commands for commands, _shown in steps])
    assert len(outputs) == len(steps) > 8
    for (commands, shown), output in zip(steps, outputs, strict=True):
        require_seen(shown, output, commands)
