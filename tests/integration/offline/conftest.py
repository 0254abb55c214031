# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small system on a disk, mounted, and the connection into it."""

# pylint: disable=unused-import

import dataclasses
import pathlib
import shutil
import subprocess

import pytest
import yaml
from ansible import constants
from ansible.playbook.play_context import PlayContext

from ansible_collections.vdisk.lifecycle.plugins.connection import vmdk_root
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session

# fixtures: a real Debian
from ansible_collections.vdisk.lifecycle.tests.guests.fixtures import (  # noqa: F401
    built_guest,
    debian_guest,
)

_APPLETS = ("sh", "cat", "chmod", "echo", "env", "hostname", "id", "ls", "mknod", "mkdir", "mount",
            "readlink", "rm", "sleep", "stat", "su", "touch", "unshare", "wc", "yes", "head",
            "dd", "chroot", "test", "ln", "ifconfig", "ping", "ip")  # fmt: skip


@pytest.fixture(scope="session")
def system(tmp_path_factory):
    """The files of a system as small as it can be."""
    busybox = shutil.which("busybox")
    if (
        busybox is None
        or subprocess.run(["ldd", busybox], capture_output=True, check=False).returncode == 0
    ):
        pytest.skip("needs busybox-static")
    root = tmp_path_factory.mktemp("system")
    for folder in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/sbin", "usr/bin"):
        (root / folder).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for name in _APPLETS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/hostname").write_text("web01\n")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n")
    return root


@dataclasses.dataclass
class Guest:
    """A mounted one. `root` is where its files are for us."""

    image: pathlib.Path
    root: pathlib.Path
    read_only: bool

    def connect(self, **options):
        return connection(mount_point=str(self.root), **options)

    def run(self, command, **options):
        """What a shell in there prints; fails the test if it fails."""
        code, output, error = self.connect(**options).exec_command(command)
        assert code == 0, error
        return output.decode().strip()


def connection(**options):
    """As the task executor makes one."""
    documented = yaml.safe_load(vmdk_root.DOCUMENTATION)["options"]
    name = vmdk_root.Connection.transport
    constants.config.initialize_plugin_configuration_definitions("connection", name, documented)
    made = vmdk_root.Connection(PlayContext())
    made._load_name = name
    made.set_options(direct=options)
    return made


@pytest.fixture
def make_guest(tmp_path, monkeypatch, system):
    """make_guest(files={path: text}, links={path: target}, read_only=…) -> Guest"""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    made = []  # mount points

    def make(*, files=None, links=None, remove=(), read_only=False):
        root = tmp_path / f"files{len(made)}"
        shutil.copytree(system, root, symlinks=True)
        for path in remove:
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()
        for path, text in (files or {}).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())
        for path, target in (links or {}).items():
            (root / path).symlink_to(target)
        image = tmp_path / f"disk{len(made)}.img"
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, image, "16M"], check=True)
        guest = Guest(image, tmp_path / f"mnt{len(made)}", read_only)
        made.append(str(guest.root))
        source = session.FlatFile(str(image), 0, image.stat().st_size)
        session.mount(session.MountRequest(source, str(image), str(guest.root), None, read_only))
        return guest

    yield make
    for point in made:
        session.unmount(point)


@pytest.fixture
def guest(make_guest):
    return make_guest()
