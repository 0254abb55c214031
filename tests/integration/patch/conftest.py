# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows as users run them, on small guests and on a real one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml

from ansible_collections.vdisk.lifecycle.tests.guests import leftovers as found

# pylint: disable=unused-import
from ansible_collections.vdisk.lifecycle.tests.guests.fixtures import (  # noqa: F401
    built_guest,
    debian_guest,
)

# modules, in a process of their own
from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    zygote,
)
from ansible_collections.vdisk.lifecycle.tests.integration.modules.zygote import MODULES

PLAYBOOK = pathlib.Path(sys.executable).with_name("ansible-playbook")
MIB = 1 << 20


@dataclasses.dataclass
class Window:
    """window.run(disks=[…], …): the role's variables without their prefix."""

    folder: pathlib.Path

    def start(self, *arguments, **variables):
        words = {f"patch_window_{name}": value for name, value in variables.items()}
        words["patch_window_report"] = str(self.folder / "report.json")
        words["patch_window_mount_root"] = str(self.folder)
        (self.folder / "window.yml").write_text(yaml.safe_dump(words))
        (self.folder / "report.json").unlink(missing_ok=True)
        extra = f"@{self.folder}/window.yml"
        return self._start("vdisk.lifecycle.patch_window", "-e", extra, *arguments)

    def play(self, playbook):
        """What Ansible printed."""
        process = self._start(playbook)
        printed = process.communicate(timeout=600)[0]
        assert process.returncode == 0, printed
        return printed

    def _start(self, *words):
        return subprocess.Popen(
            [str(word) for word in (PLAYBOOK, *words)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment(),
        )

    def run(self, *arguments, code=0, **variables):
        """The results, one for each disk; and what Ansible printed."""
        process = self.start(*arguments, **variables)
        printed = process.communicate(timeout=600)[0]
        assert process.returncode == code, printed
        report = json.loads((self.folder / "report.json").read_text())
        return report["patch_window"], printed

    def mount(self, **arguments):
        """vmdk_mount on its own."""
        words = {"mount_point": str(self.folder / "own"), **arguments}
        done = subprocess.run(
            [sys.executable, "-m", f"{MODULES}.vmdk_mount"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": words}),
            check=False,
            capture_output=True,
            text=True,
            env=self._environment(),
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def discard(self, disk):
        """Finishes a commit that was cut off, and drops everything else of a window."""
        name = f"patch-window-{hashlib.sha256(str(disk).encode()).hexdigest()[:16]}"
        self.mount(path=str(disk), mount_point=str(self.folder / name), state="discarded")

    def _environment(self):
        own = {"ANSIBLE_ROLES_PATH": str(self.folder / "roles"), "ANSIBLE_FORCE_COLOR": "0"}
        own |= {"VDISK_RUN_DIR": str(self.folder / "run"), "LC_ALL": "C.UTF-8"}
        own |= {"VDISK_STATE_DIR": str(self.folder / "jobs")}
        return {**os.environ, **own}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the tests of one file keep everything: a window is too long for one of them."""
    return tmp_path_factory.mktemp("window")


@pytest.fixture(scope="module")
def window(folder):
    return Window(folder)


@pytest.fixture(scope="module")
def tasks(folder):
    """A file of tasks."""

    def write(*entries, name="tasks.yml"):
        path = folder / name
        path.write_text(yaml.safe_dump(list(entries)))
        return str(path)

    return write


@pytest.fixture(scope="module")
def small_guest(folder):
    """A guest with a shell and nothing else: a bare file system in a raw file."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    linked = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False)
    if linked.returncode == 0 and "=>" in linked.stdout:
        pytest.skip("busybox is not static (apt-get install busybox-static)")

    def make(name, megabytes=24):
        root = folder / f"{name}.root"
        for part in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp"):
            (root / part).mkdir(parents=True)
        shutil.copy(busybox, root / "bin/busybox")
        for applet in ("sh", "cat", "echo", "mkdir", "rm", "ls", "sleep", "dd"):
            (root / "bin" / applet).symlink_to("busybox")
        (root / "etc/os-release").write_text('ID=small\nNAME="Small"\n')
        (root / "etc/fstab").write_text("LABEL=root / ext4 defaults 0 1\n")
        path = folder / f"{name}.img"
        command = [
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-L",
            "root",
            "-d",
            str(root),
            str(path),
            f"{megabytes}M",
        ]
        subprocess.run(command, check=True)
        shutil.rmtree(root)
        return path

    return make


@pytest.fixture
def content():
    """A file inside of a bare file system, by e2fsprogs; the file system must be sound."""

    def read(image, path):
        subprocess.run(["e2fsck", "-fn", str(image)], check=True, capture_output=True)
        command = ["debugfs", "-R", f"cat {path}", str(image)]
        done = subprocess.run(command, check=True, capture_output=True)
        return done.stdout.decode(errors="replace")

    return read


@pytest.fixture(scope="module")
def sha256():
    def digest(path):
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    return digest


@pytest.fixture(scope="module")
def daemons(folder):
    return lambda: found.daemons(folder)


@pytest.fixture(scope="module", autouse=True)
def clean(folder):
    """Nothing is left by any window of a file."""
    yield
    names = ("run/mounts/*", "*.patch-window*", "*.vdisk-transaction", "patch-window-*", "work/*")
    left = found.leftovers(folder, *names)
    found.remove(left)
    assert left == []
