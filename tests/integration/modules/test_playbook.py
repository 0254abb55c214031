# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long modules as users run them, through their action plugins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
BIG = 2 << 30


# A connection plugin: three times nobody answers who asks how far the job is.
FLAKY = """
DOCUMENTATION = "{name: flaky, short_description: A network that fails}"
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local
class Connection(Local):
    transport = "flaky"
    asked = 0
    def exec_command(self, cmd, *rest, **more):
        if "progress.json; echo" in cmd:
            Connection.asked += 1
            if 1 < Connection.asked < 5:
                raise AnsibleConnectionFailure("the network is away")
        return super().exec_command(cmd, *rest, **more)
"""
# Kills whoever has the disk that is being made open, and all above it up to the init process.
KILLER = """
import os, signal, sys, time
def owner():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(sys.argv[1]):
                    return int(pid)
        except OSError:
            continue
def parent(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])
while (pid := owner()) is None:
    time.sleep(0.05)
family = []
while pid > 1:
    family.insert(0, pid)
    pid = parent(pid)
for pid in family:
    os.kill(pid, signal.SIGKILL)
"""


@pytest.fixture
def play(tmp_path):
    """play(*tasks): (exit code, output, results by task name)."""

    def run(*tasks, check=False):
        book = tmp_path / "play.yml"
        save = {
            "ansible.builtin.copy": {
                "content": "{{ hostvars[inventory_hostname] | to_json }}",
                "dest": str(tmp_path / "facts.json"),
                "mode": "0600",
            },
            "check_mode": False,
        }
        plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [*tasks, save]}]
        book.write_text(yaml.safe_dump(plays, sort_keys=False))
        done = subprocess.run(
            [str(ANSIBLE), str(book), *(["--check"] if check else [])],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "LC_ALL": "C.UTF-8"},
        )
        facts = tmp_path / "facts.json"
        return done, json.loads(facts.read_text()) if facts.exists() else {}

    return run


def task(module, register="result", **arguments):
    plain = {key: str(value) for key, value in arguments.items()}
    return {f"vdisk.lifecycle.{module}": plain, "register": register}


@pytest.fixture
def big_disk(tmp_path):
    """A raw disk that takes more seconds to compress than the progress is quiet in the beginning,
    on a machine with nothing else to do, too."""
    path, block = tmp_path / "big.img", os.urandom(1 << 20)
    with open(path, "wb") as stream:
        for _number in range(BIG >> 20):
            stream.write(block)
    return path


def test_progress_lines_appear_while_the_task_runs(play, big_disk, tmp_path):
    stream = {"disk_type": "streamOptimized"}
    done, facts = play(task("vmdk_clone", src=big_disk, dest=tmp_path / "big.vmdk", **stream))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "MiB/s" in line]
    assert lines, done.stdout
    assert lines[0].startswith("localhost: big.vmdk  ")
    assert facts["result"]["changed"]
    assert facts["result"]["transfer"]["bytes_total"] == BIG
    leftovers = {"ansible_job_id", "results_file", "finished", "started"} & set(facts["result"])
    assert leftovers == set()


def test_result_check_mode_and_failure_pass_through(play, disk, tmp_path):
    clone = task("vmdk_clone", src=disk, dest=tmp_path / "copy.vmdk")
    done, facts = play(clone, check=True)
    assert done.returncode == 0, done.stdout
    assert facts["result"]["changed"]
    assert not (tmp_path / "copy.vmdk").exists()
    done, facts = play(clone, {**clone, "register": "again"})
    assert facts["result"]["changed"]
    assert not facts["again"]["changed"]
    broken = task("vmdk_clone", src=tmp_path / "none.vmdk", dest=tmp_path / "copy.vmdk")
    done, facts = play({**broken, "ignore_errors": True})
    assert facts["result"]["failed"]
    assert facts["result"]["error"]["kind"] == "DiskNotFound"
    assert "Traceback" not in done.stdout + done.stderr


def test_wrong_options_fail_as_in_any_module(play):
    wrong = task("vmdk_clone", src="a", dest="b", colour="c")
    _done, facts = play({**wrong, "ignore_errors": True})
    assert facts["result"]["failed"]
    assert "colour" in facts["result"]["msg"]


def test_a_users_own_async_is_left_to_him(play, disk, tmp_path):
    clone = task("vmdk_clone", src=disk, dest=tmp_path / "copy.vmdk")
    done, facts = play({**clone, "async": 60, "poll": 1})
    assert done.returncode == 0, done.stdout
    assert facts["result"]["changed"]
    assert facts["result"]["ansible_job_id"]


def test_secrets_are_never_in_an_argument_list(play, disk, tmp_path, modules):
    # One that no other test has in an argument list at this moment.
    repository = {"repository": str(tmp_path / "own"), "passphrase": uuid.uuid4().hex}
    modules.vmdk_repository(url=repository["repository"], passphrase=repository["passphrase"])
    seen = tmp_path / "seen"
    watcher = subprocess.Popen(
        f"while sleep 0.02; do cat /proc/[0-9]*/cmdline; done > {seen} 2>/dev/null", shell=True
    )
    try:
        done, facts = play(task("vmdk_backup", path=disk, name="first", **repository))
    finally:
        watcher.kill()
    assert facts["result"]["changed"], done.stdout
    assert repository["passphrase"].encode() not in seen.read_bytes()
    assert repository["passphrase"] not in done.stdout


def test_a_job_that_is_killed_fails_and_does_not_hang(play, big_disk, tmp_path):
    """The wrapper too is gone, as after a restart of the host: nobody writes a result."""
    killer = subprocess.Popen([sys.executable, "-c", KILLER, str(tmp_path / "big.vmdk")])
    stream = {"disk_type": "streamOptimized"}
    clone = task("vmdk_clone", src=big_disk, dest=tmp_path / "big.vmdk", **stream)
    _done, facts = play({**clone, "ignore_errors": True})
    killer.wait(timeout=60)
    assert facts["result"]["failed"]
    assert "killed" in facts["result"]["msg"]


def test_a_network_that_is_away_for_a_moment_does_not_end_the_job(play, disk, tmp_path):
    (tmp_path / "connection_plugins").mkdir()
    (tmp_path / "connection_plugins" / "flaky.py").write_text(FLAKY)
    clone = task("vmdk_clone", src=disk, dest=tmp_path / "copy.vmdk")
    done, facts = play({**clone, "vars": {"ansible_connection": "flaky"}})
    assert done.returncode == 0, done.stdout
    assert facts["result"]["changed"]


def test_ctrl_c_ends_the_job_too_and_leaves_nothing(big_disk, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    clone = task("vmdk_clone", src=big_disk, dest=made / "big.vmdk", disk_type="streamOptimized")
    book = tmp_path / "play.yml"
    book.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [clone]}])
    )
    playbook = subprocess.Popen(
        [str(ANSIBLE), str(book)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: list(made.iterdir()))
    playbook.send_signal(signal.SIGINT)
    playbook.wait(timeout=120)
    wait_until(lambda: not list(made.iterdir()))


def test_ctrl_c_before_the_job_has_said_that_it_is_there(tmp_path):
    image, made = tmp_path / "disk.img", tmp_path / "made.vmdk"
    image.write_bytes(os.urandom(64 << 20))  # seconds of work
    book = tmp_path / "play.yml"
    stream = {"disk_type": "streamOptimized", "compression_level": 9}
    clone = task("vmdk_clone", src=image, dest=made, **stream)
    book.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [clone]}])
    )
    jobs = tmp_path / "jobs"
    playbook = subprocess.Popen(
        [str(ANSIBLE), str(book)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ANSIBLE_ASYNC_DIR": str(jobs)},
    )
    wait_until(lambda: jobs.is_dir() and list(jobs.iterdir()))
    playbook.send_signal(signal.SIGINT)
    playbook.wait(timeout=120)
    result = next(each for each in jobs.iterdir() if each.suffix != ".tmp")
    wait_until(lambda: json.loads(result.read_text()).get("finished") != 0)
    assert not made.exists()


def wait_until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
