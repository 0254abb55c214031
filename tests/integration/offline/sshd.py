# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real SSH server, on the loopback interface only."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
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
"""


@contextlib.contextmanager
def running(folder):
    """Options of a connection through it, while it runs."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("needs openssh-server")
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(command, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = subprocess.Popen([program, "-D", "-f", folder / "config"])
    try:
        _wait_for(port)
        yield {
            "proxy": "127.0.0.1",
            "proxy_port": port,
            "proxy_user": "root",
            "proxy_private_key_file": str(folder / "key"),
            "proxy_ssh_args": f"-o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known",
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
