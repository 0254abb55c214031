# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount is on another host, which does not have the collection."""

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.vdisk.lifecycle.plugins.connection import vmdk_root
from ansible_collections.vdisk.lifecycle.tests.integration import sshd


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sshd")
    sshd.make_keys(folder)
    with sshd.serving(folder) as port:
        yield {
            "proxy": "127.0.0.1",
            "proxy_port": port,
            "proxy_user": "root",
            "proxy_private_key_file": str(folder / "key"),
            "proxy_ssh_args": f"-o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known",
            "proxy_python": sys.executable,
        }


@pytest.fixture
def remote(guest, proxy, tmp_path, monkeypatch):
    """Options of a connection. Nobody would be left who shares a connection after the test."""
    monkeypatch.setenv("ANSIBLE_SSH_ARGS", "-o ControlMaster=no -o ControlPath=none")
    monkeypatch.setattr(vmdk_root, "RUN_DIRECTORY", str(tmp_path / "run"))
    return proxy


def test_command_runs_in_the_guest(guest, remote):
    assert guest.run("hostname; id -u; echo $SYSTEMD_OFFLINE", **remote).split() == [
        "web01",
        "0",
        "1",
    ]


def test_status_output_errors_and_input_pass(guest, remote):
    answer = guest.connect(**remote).exec_command("cat; echo 'a \"b\" $c' >&2; exit 3", b"\0in\xff")
    assert answer == (3, b"\0in\xff", b'a "b" $c\n')


def test_command_without_input_does_not_wait_for_any(guest, remote):
    assert guest.run("cat | wc -c", **remote) == "0"


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_files_go_in_and_out_as_they_are(guest, remote, tmp_path, size, monkeypatch):
    monkeypatch.setattr(vmdk_root, "_AT_ONCE", 1 << 20)
    content = os.urandom(size)
    (tmp_path / "in").write_bytes(content)
    connection = guest.connect(**remote)
    connection.put_file(str(tmp_path / "in"), "/tmp/file")
    assert (guest.root / "tmp/file").read_bytes() == content
    connection.fetch_file("/tmp/file", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == content


def test_refusals_come_through(guest, remote, tmp_path):
    with pytest.raises(AnsibleError, match="No such file"):
        guest.connect(**remote).fetch_file("/tmp/none", str(tmp_path / "x"))
    guest.root = tmp_path
    with pytest.raises(AnsibleConnectionFailure, match="was not mounted by vmdk_mount"):
        guest.run("true", **remote)


def test_proxy_that_cannot_be_reached_is_told(guest, remote):
    with pytest.raises(AnsibleConnectionFailure, match="Connection refused"):
        guest.run("true", **{**remote, "proxy_port": 1})


def test_time_limit_ends_it_there(guest, remote):
    sleeper = f"sleep 876{os.getpid()}"
    assert guest.connect(**remote, command_timeout=1).exec_command(sleeper)[0] == 124
    assert sleeper.encode() not in subprocess.check_output(["ps", "axww"])


def test_command_ends_with_its_connection(guest, remote):
    sleeper = f"sleep 765{os.getpid()}"
    command = f"{sleeper} & {sleeper}"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(guest.connect(**remote).exec_command, command)
        _wait_until(lambda: len(_processes("sleep", sleeper)) == 2)
        for client in _processes("ssh", sleeper):
            os.kill(client, signal.SIGKILL)
        _wait_until(lambda: not _processes("sleep", sleeper))
        assert running.result()[0] != 0


def _processes(name, words):
    """Numbers of those with a name, and with words in their arguments."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            found += [int(folder.name)] * (
                words in told and (folder / "comm").read_text().strip() == name
            )
    return found


def _wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_missing_python_is_told(guest, remote):
    code, _output, error = guest.connect(**{**remote, "proxy_python": "/no/python3"}).exec_command(
        "true"
    )
    assert code == 127
    assert b"/no/python3" in error
