# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies: each a real SSH server on the loopback interface, with an environment of its own."""

from __future__ import annotations

import contextlib
import sys

from ansible_collections.vdisk.lifecycle.tests.integration import sshd


@contextlib.contextmanager
def proxies(folder, names, **environment):
    """The hosts of an inventory. Each keeps the journals of its jobs in a folder of its own."""
    sshd.make_keys(folder)
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(_proxy(folder, name, environment)) for name in names}


@contextlib.contextmanager
def _proxy(folder, name, environment):
    own = {"VDISK_STATE_DIR": f"{folder}/{name}/jobs", **environment}
    with sshd.serving(folder, name, own) as port:
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
