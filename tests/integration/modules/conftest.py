# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules as Ansible does: a process of their own, JSON in, JSON out."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.modules.zygote import MODULES, Zygote

PASSPHRASE = "correct horse battery staple"


class Modules:
    """modules.vmdk_info(path=…) -> its result; fails the test if the module fails."""

    def __init__(self, zygote):
        self._zygote = zygote
        self.processor_time = 0.0  # seconds of all that were run

    def __getattr__(self, name):
        return lambda **arguments: self.run(name, **arguments)

    def run(self, module, check_mode=False, **arguments):
        result = self.attempt(module, check_mode, **arguments)
        assert not result.get("failed"), result["msg"]
        return result

    def fail(self, module, check_mode=False, **arguments):
        """The message of a module that must fail."""
        result = self.attempt(module, check_mode, **arguments)
        assert result.get("failed"), f"should have failed: {result}"
        assert "Traceback" not in json.dumps(result), result
        return result

    def attempt(self, module, check_mode=False, **arguments):
        arguments = {key: _plain(value) for key, value in arguments.items()}
        document = {
            "ANSIBLE_MODULE_ARGS": {
                **arguments,
                "_ansible_check_mode": check_mode,
                "_ansible_diff": True,
                "_ansible_remote_tmp": "/tmp",
            }
        }
        done = self._zygote.run(f"{MODULES}.{module}", json.dumps(document))
        self.processor_time += done.processor_time
        assert done.stdout.strip().startswith("{"), done.stderr
        return json.loads(done.stdout)


def _plain(value):
    if isinstance(value, Path):
        return str(value)
    return value


@pytest.fixture(scope="session")
def zygote():
    with contextlib.closing(Zygote()) as process:
        yield process


@pytest.fixture
def modules(zygote):
    return Modules(zygote)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An encrypted repository, as the arguments that reach it. Its key costs next to nothing:
    scrypt at its real cost would be most of the time of hundreds of module runs."""
    url = str(tmp_path / "repository")
    with monkeypatch.context() as patched:
        patched.setattr(keys, "COST", (1 << 4, 8, 1))
        create_repository(url, passphrase=PASSPHRASE, encryption="aes-256-gcm")
    return {"repository": url, "passphrase": PASSPHRASE}


@pytest.fixture(scope="session")
def shelf(tmp_path_factory, zygote):
    """shelf(name, seed): a folder with a sparse disk, each made once for all tests."""
    modules, made = Modules(zygote), {}

    def find(*wanted):
        if wanted not in made:
            made[wanted] = tmp_path_factory.mktemp("shelf")
            _make_disk(modules, made[wanted], wanted[0], "monolithicSparse", wanted[1])
        return made[wanted]

    return find


@pytest.fixture
def make_disk(tmp_path, modules, shelf):
    """make_disk(name, disk_type, seed): a VMDK of 40 MiB with data here and there."""

    def make(name="web01.vmdk", disk_type="monolithicSparse", seed=1):
        if disk_type == "monolithicSparse":
            shutil.copy(shelf(name, seed) / name, tmp_path)
        else:
            _make_disk(modules, tmp_path, name, disk_type, seed)
        return tmp_path / name

    return make


def _make_disk(modules, folder, name, disk_type, seed):
    raw = folder / f"{name}.source.raw"
    raw.write_bytes(sample(40 << 20, seed))
    modules.vmdk_clone(src=raw, dest=folder / name, disk_type=disk_type)
    raw.unlink()


@pytest.fixture
def disk(make_disk):
    """A sparse VMDK."""
    return make_disk()


@pytest.fixture
def small_file_system(tmp_path):
    """A folder that holds 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def sample(size, seed):
    """Runs of data that nothing can compress, and of zeros, with borders that fit no grain."""
    random = Random(seed)
    content = bytearray(size)
    for _number in range(40):
        start = random.randrange(size)
        piece = random.randbytes(min(random.randrange(300_000), size - start))
        content[start : start + len(piece)] = piece
    return bytes(content)


@pytest.fixture
def content_by_qemu():
    """content_by_qemu(path): digest of a disk's content, as qemu-img reads it."""

    def read(path):
        raw = f"{path}.by-qemu.raw"
        command = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(path), raw]
        subprocess.run(command, check=True, capture_output=True)
        try:
            return _digest_of_file(raw)
        finally:
            os.unlink(raw)

    return read


def _digest_of_file(path):
    with open(path, "rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


@pytest.fixture
def digest_of_file():
    return _digest_of_file


@pytest.fixture
def digest_of_tree():
    """Name, mode, time and content of all below a folder: what check mode must not touch."""

    def digest(folder):
        seen = []
        for path in sorted(Path(folder).rglob("*")):
            info = path.lstat()
            content = _digest_of_file(path) if path.is_file() else ""
            seen.append((str(path), info.st_mode, info.st_size, info.st_mtime_ns, content))
        return seen

    return digest


@pytest.fixture
def space():
    def space(path):
        """(bytes, bytes taken) of all files of a disk."""
        found = [file.stat() for file in path.parent.glob(f"{path.stem}*.vmdk")]
        return sum(f.st_size for f in found), sum(f.st_blocks * 512 for f in found)

    return space


@pytest.fixture
def kill_after():
    def kill_after(seconds, module, **arguments):
        """Start a module and kill it on its way. What it had started has let go of the disk then,
        if that is at `path`."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"{MODULES}.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        process.stdin.close()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        end = time.monotonic() + 60
        while "path" in arguments and _is_locked(arguments["path"]):
            assert time.monotonic() < end, "the disk is still in use"
            time.sleep(0.05)

    return kill_after


def _is_locked(path):
    with open(path, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
