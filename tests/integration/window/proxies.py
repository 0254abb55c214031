# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies: each a real SSH server on the loopback interface, with an environment of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
MaxStartups 100
Subsystem sftp internal-sftp
SetEnv {environment}
"""


@contextlib.contextmanager
def proxies(folder, names, **environment):
    """The hosts of an inventory. Each keeps the journals of its jobs in a folder of its own."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("needs openssh-server")
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                _proxy(
                    program, folder, name, VDISK_STATE_DIR=f"{folder}/{name}/jobs", **environment
                )
            )
            for name in names
        }


@contextlib.contextmanager
def _proxy(program, folder, name, **environment):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = " ".join(f'{key}="{value}"' for key, value in environment.items())
    config = folder / f"{name}.sshd"
    config.write_text(_CONFIG.format(port=port, folder=folder, environment=words))
    server = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield {
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": f"{folder}/key",
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o IdentitiesOnly=yes "
            f"-o UserKnownHostsFile={folder}/known",
            "ansible_python_interpreter": sys.executable,
            "ansible_pipelining": True,
        }
    finally:
        server.terminate()
        server.wait()


def _wait_for(port):
    for _attempt in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("sshd did not answer")
