# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real SSH servers, on the loopback interface only, for root with a key."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

import pytest

from ansible_collections.vdisk.lifecycle.tests.ports import free_port

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
"""


def make_keys(folder):
    """`folder`/host of servers, and `folder`/key of who logs in. Skips without the programs."""
    if _program() is None:
        pytest.skip("needs openssh-server")
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


@contextlib.contextmanager
def serving(folder, name="sshd", environment=()):
    """The port of a server with the keys of `folder`, while it runs. `environment` of sessions."""
    port = free_port()
    words = " ".join(f'{key}="{value}"' for key, value in dict(environment).items())
    config = folder / f"{name}.config"
    config.write_text(
        _CONFIG.format(port=port, folder=folder) + (f"SetEnv {words}\n" if words else "")
    )
    command = [_program(), "-D", "-e", "-f", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            yield port
        finally:
            server.terminate()


def _program():
    return shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


def _wait_for(port):
    for _attempt in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("sshd did not answer")
