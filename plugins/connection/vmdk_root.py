# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vmdk_root
short_description: Run tasks inside a disk that is mounted
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Runs ordinary tasks and roles inside the root of a guest that is switched off. The disk was
    mounted with M(vdisk.lifecycle.vmdk_mount), best in its own layout (C(layout=guest)) and in a
    transaction, so that a failed role leaves no trace.
  - The mount may be on the controller, or on another host, which is reached over SSH then. Nothing
    of this collection is installed there for it; it only needs Python 3.10 or newer.
  - Each command has a mount, process, host name, IPC and network namespace of its own. C(/proc),
    C(/sys) (read-only), C(/dev) (without any device of the host) and C(/run) are private, no
    service is started, and what a command leaves running ends with it.
  - Links in the image lead nowhere but into the image, also for files that are copied in and out.
notes:
  - What works is what works in an image that is not booted, as C(copy), C(template), C(lineinfile),
    C(file), C(user), C(group), C(cron), C(package), C(apt), C(package_facts), C(command) and
    C(systemd_service) with C(enabled). Starting services, C(mount), C(reboot), firewalls that run,
    C(sysctl) values that are loaded, and C(async) do not.
  - Set C(ansible_remote_tmp) to C(/tmp), or an empty C(/root/.ansible) stays in the image.
  - Modules need a Python in the guest that ansible-core supports. M(ansible.builtin.raw) and
    M(ansible.builtin.script) need none.
  - A disk that is mounted read-only can be asked with pipelined modules, as
    M(ansible.builtin.setup) and M(ansible.builtin.package_facts). Tasks that put files into the
    guest fail with that reason.
  - To C(become) another user, use the method C(su), which nearly any guest has, or C(sudo) if it is
    there. Programs with the setuid bit give no rights, because disks are mounted C(nosuid).
  - The programs of the guest run on this host, as root, with few capabilities and without a way to
    its files, devices, processes and network. They share its kernel, and no virtual machine is
    between. Do not run those of strangers on a host that matters.
  - The file systems of the disk are parsed by the kernel of the host as long as it is mounted.
seealso:
  - module: vdisk.lifecycle.vmdk_mount
  - plugin: vdisk.lifecycle.vmdk_images
    plugin_type: inventory
requirements:
  - root on the host that has the mount
options:
  mount_point:
    description: The directory where M(vdisk.lifecycle.vmdk_mount) mounted the root of the guest.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_vmdk_host
  proxy:
    description: The host that has the mount. Empty for the controller.
    type: str
    default: ""
    vars:
      - name: ansible_vmdk_proxy
  proxy_user:
    description: The user on the O(proxy).
    type: str
    vars:
      - name: ansible_vmdk_proxy_user
  proxy_port:
    description: The port of SSH on the O(proxy).
    type: int
    vars:
      - name: ansible_vmdk_proxy_port
  proxy_private_key_file:
    description: The private key for the O(proxy).
    type: path
    vars:
      - name: ansible_vmdk_proxy_private_key_file
  proxy_password:
    description: The password of the user on the O(proxy), where there is no key.
    type: str
    vars:
      - name: ansible_vmdk_proxy_password
  proxy_ssh_args:
    description:
      - More arguments for C(ssh), as C(-o ProxyJump=bastion).
      - The rest is as set for P(ansible.builtin.ssh#connection) in C(ansible.cfg) and in the
        environment.
    type: str
    default: ""
    vars:
      - name: ansible_vmdk_proxy_ssh_args
  proxy_python:
    description:
      - The Python, 3.10 or newer, that enters the guest. It is one of the host that has the mount,
        not one of the guest.
      - If this is not set, it is C(/usr/bin/python3) of the O(proxy), or on the controller that of
        Ansible itself.
    type: str
    vars:
      - name: ansible_vmdk_proxy_python
  privilege_exe:
    description:
      - Words in front of a command that make it run as root on the host that has the mount, as
        V(sudo -n).
    type: str
    default: ""
    vars:
      - name: ansible_vmdk_privilege_exe
  network:
    description:
      - Let the guest use the network of the host, and its C(/etc/resolv.conf) for the time of a
        command. The file in the image is not changed.
      - Without it there is only a loopback interface, which nobody else uses.
    type: bool
    default: false
    vars:
      - name: ansible_vmdk_network
  shared:
    description:
      - Directories of the host that the guest sees, read-only, in C(/run/shared), each by its own
        name, such as a repository of packages for guests without a network.
    type: list
    elements: path
    default: []
    vars:
      - name: ansible_vmdk_shared
  command_timeout:
    description:
      - Seconds that a command may take. Then it and all that it has started are killed, and the
        task fails. V(0) is no limit.
      - The keyword C(timeout) of a task does the same on the controller. Over SSH it only ends the
        waiting.
    type: int
    default: 0
    vars:
      - name: ansible_vmdk_timeout
  remote_user:
    description: The user in the guest is always root. Use C(become) for others.
    type: str
    default: root
    choices: [root]
    vars:
      - name: ansible_vmdk_user
  guest_facts:
    description:
      - Not to be set. Facts, which are what a guest says of itself, come before variables of the
        inventory. One with the name of a variable of this connection could have it run anything on
        the controller, so nothing is run then.
    type: dict
    default: {}
    vars:
      - name: ansible_facts
  pipelining:
    description: Run modules without copying them into the guest first.
    type: bool
    default: true
    vars:
      - name: ansible_pipelining
"""

import json
import os
import re
import shlex
import subprocess
import sys
import typing as t

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.loader import connection_loader
from ansible.utils.display import Display

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.inside.kernel import (
    MARK,
    NOT_THIS,
    REFUSED,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.lockedfolder import (
    RUN_DIRECTORY,
)
from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.inside_text import inside_text

display = Display()

Answer = tuple[int, bytes, bytes]

OLDEST_PYTHON = (3, 9)  # of a target, for ansible-core 2.21
_AT_ONCE = 32 << 20  # bytes of a file, which are held in memory
_INTERPRETER = re.compile(r"(?:^|[\s'\"])((?:/[\w./+-]+/)?(?:platform-)?python[\d.]*)(?=[\s'\"]|$)")
_MAKES_FILES = "ansible-tmp-"  # the directory for files of a task


class Connection(ConnectionBase):
    """Every command is one run of module_utils/_guest/inside on the host that has the mount."""

    transport = "vdisk.lifecycle.vmdk_root"
    has_pipelining = True
    has_tty = False
    default_user = "root"

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._ssh: t.Any = None

    def set_options(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Raises AnsibleError where a guest tries to set them by its facts."""
        super().set_options(*args, **kwargs)
        facts = {f"ansible_{name}" for name in self.get_option("guest_facts")}
        ours = constants.config.get_plugin_vars("connection", self._load_name)
        if taken := sorted(name for name in facts.intersection(ours) if "_vmdk_" in name):
            raise AnsibleError(
                f"{', '.join(taken)} cannot come from the facts of a guest: they say what is run "
                "on the host that has the mount. Look at what is in this image before trusting it."
            )

    def _connect(self) -> Connection:
        if not self._connected:
            root = self.get_option("mount_point")
            if not os.path.isabs(root):
                raise AnsibleConnectionFailure(
                    f"'{root}' is not a directory. ansible_host of the connection {self.transport} "
                    "is the mount point that vdisk.lifecycle.vmdk_mount was given, as /mnt/web01."
                )
            self._ssh = self._proxy() if self.get_option("proxy") else None
            display.vvv("ENTER GUEST", host=root)
            self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> Answer:
        """Run a shell command in the guest."""
        self._connect()
        if "async_wrapper" in cmd:
            raise AnsibleError(
                "async is not possible here: nothing goes on in a guest when a command has ended. "
                "Run the task without async; ansible_vmdk_timeout limits its time."
            )
        is_module = in_data is not None or "AnsiballZ_" in cmd
        python = _INTERPRETER.search(cmd) if is_module else None
        display.vvv(f"EXEC {cmd}", host=self.get_option("mount_point"))
        return self._run(
            {
                "verb": "exec",
                "argv": ["/bin/sh", "-c", cmd],
                "python": python and python[1],
                "writes": _MAKES_FILES in cmd,
            },
            in_data,
        )

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file into the guest; links in the way are the guest's."""
        self._connect()
        display.vvv(f"PUT {in_path} TO {out_path}", host=self.get_option("mount_point"))
        offset = 0
        with _local(in_path, "rb") as stream:
            while (data := stream.read(_AT_ONCE)) or not offset:
                wish = {"verb": "put", "path": out_path, "offset": offset, "writes": True}
                self._must(wish, data, f"copy {in_path} to {out_path}")
                offset += len(data)
                if len(data) < _AT_ONCE:
                    return

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of the guest; what is named is looked up in there."""
        self._connect()
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self.get_option("mount_point"))

        def part(offset: int) -> bytes:
            wish = {"verb": "fetch", "path": in_path, "offset": offset, "length": _AT_ONCE}
            return self._must(wish, None, f"copy {in_path} to {out_path}")

        data = part(0)  # what cannot be read leaves our file as it is
        with _local(out_path, "wb") as stream:
            while data:
                stream.write(data)
                data = part(stream.tell()) if len(data) == _AT_ONCE else b""

    def reset(self) -> None:
        """Nothing lasts from one command to the next, but SSH."""
        if self._ssh is not None:
            self._ssh.reset()

    def close(self) -> None:
        """Let go of the proxy."""
        if self._ssh is not None:
            self._ssh.close()
        self._ssh, self._connected = None, False

    def _must(self, wish: dict[str, t.Any], data: bytes | None, what: str) -> bytes:
        code, output, error = self._run(wish, data)
        if code:
            raise AnsibleError(f"could not {what}: {error.decode(errors='replace').strip()}")
        return output

    def _run(self, wish: dict[str, t.Any], data: bytes | None) -> Answer:
        """Raises AnsibleConnectionFailure where the guest cannot be entered."""
        request = {
            "root": self.get_option("mount_point"),
            "run_directory": RUN_DIRECTORY,
            "network": self.get_option("network"),
            "shared": self.get_option("shared"),
            "timeout": self.get_option("command_timeout"),
            "python": None,
            "oldest": OLDEST_PYTHON,
            "writes": False,
            "input": bool(data),
            **wish,
        }
        if self._ssh is None:
            request["run_directory"] = os.environ.get("VDISK_RUN_DIR", RUN_DIRECTORY)
        code, output, error = self._send(self._program(request), data)
        if code in (REFUSED, NOT_THIS) and MARK in error:
            reason = error.partition(MARK)[2].decode(errors="replace").strip()
            raise AnsibleConnectionFailure(reason) if code == REFUSED else AnsibleError(reason)
        return code, output, error

    def _program(self, request: dict[str, t.Any]) -> list[str]:
        """With an empty environment: the guest can read that of its first process."""
        usual = "/usr/bin/python3" if self._ssh is not None else sys.executable
        python = self.get_option("proxy_python") or usual
        privilege = shlex.split(self.get_option("privilege_exe"))
        enter = ["env", "-i", python, "-I", "-S", "-c", inside_text(), json.dumps(request)]
        return [*privilege, *enter]

    def _send(self, program: list[str], data: bytes | None) -> Answer:
        if self._ssh is not None:
            answer: Answer = self._ssh.exec_command(shlex.join(program), data, sudoable=False)
            return answer
        try:
            done = subprocess.run(program, input=data or b"", capture_output=True, check=False)
        except OSError as error:
            raise AnsibleConnectionFailure(f"cannot start {program[0]}: {error}") from error
        return done.returncode, done.stdout, done.stderr

    def _proxy(self) -> t.Any:
        """Ansible's own SSH connection to the host that has the mount."""
        ssh = connection_loader.get("ssh", self._play_context)
        options = {
            "host": self.get_option("proxy"),
            "remote_user": self.get_option("proxy_user"),
            "port": self.get_option("proxy_port"),
            "private_key_file": self.get_option("proxy_private_key_file"),
            "password": self.get_option("proxy_password"),
            "ssh_extra_args": self.get_option("proxy_ssh_args"),
        }
        known = {name: value for name, value in options.items() if value is not None}
        ssh.set_options(direct=known)
        return ssh


def _local(path: str, mode: str) -> t.BinaryIO:
    try:
        return t.cast("t.BinaryIO", open(path, mode))
    except OSError as error:
        raise AnsibleError(f"{path}: {error.strerror}") from error
