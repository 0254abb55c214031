# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator as a program: one line, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.tests.ports import free_port
from ansible_collections.vdisk.lifecycle.tests.simulator import fixtures


@pytest.fixture
def program(start_vcenter):
    """program(*arguments) → (process, what its line says)"""
    started = []

    def program(*arguments):
        command = [sys.executable, str(fixtures.HERE), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        return process, json.loads(process.stdout.readline())

    yield program
    for process in started:
        process.kill()
        process.wait()


def eventually(true, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children_of(process):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(each) for each in listed.stdout.split()]


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_line_says_what_a_client_needs(program):
    process, line = program()
    wanted = {"hostname", "port", "username", "password", "datastore_dir", "control_url"}
    assert wanted | {"ca_file", "datacenter", "datastores"} <= set(line)
    assert listens(line["port"])
    assert process.poll() is None


def test_a_port_of_ones_own(program):
    port = free_port()
    assert program("--port", str(port))[1]["port"] == port


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_everything(program, number):
    process, line = program()
    children = children_of(process)
    process.send_signal(number)
    assert process.wait(60) == 0
    assert not any(alive(each) for each in children)
    assert not os.path.exists(os.path.dirname(line["datastore_dir"]))


def test_killed_it_leaves_neither_process_nor_files(program):
    process, line = program()
    children = children_of(process)
    assert children
    process.kill()
    process.wait()
    assert eventually(lambda: not any(alive(each) for each in children))
    assert eventually(lambda: not os.path.exists(os.path.dirname(line["datastore_dir"])))


def test_with_parent_it_ends_when_its_input_does(program):
    process, _other = program("--with-parent")
    process.stdin.close()
    assert process.wait(60) == 0


def test_an_unknown_storage_is_refused(program):
    done = subprocess.run(
        [sys.executable, str(fixtures.HERE), "--storage", "tape"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "invalid choice: 'tape'" in done.stderr


def test_it_starts_in_a_moment(start_vcenter):
    began = time.monotonic()
    start_vcenter()
    assert time.monotonic() - began < 60  # one second alone; the machine may be busy
