# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made by the system's own tools, and the proof that nothing is left behind."""

import functools
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session

MIB = 1 << 20
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_NEEDED = ("/dev/loop-control", "/dev/fuse")


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0 and all(map(os.path.exists, _NEEDED)):
        return
    for item in items:
        if item.path.is_relative_to(pathlib.Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason="needs root, loop devices and FUSE"))


@pytest.fixture(scope="session")
def tool():
    """Run a program of the system; the test is skipped where it is not installed."""

    def run(*argv, text=None, codes=(0,)):
        program = shutil.which(argv[0], path=_PATH)
        if program is None:
            pytest.skip(f"{argv[0]} is not installed")
        arguments = [program, *map(str, argv[1:])]
        done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)
        assert done.returncode in codes, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


def _daemons(folder):
    """Living processes that serve disks and log below a folder."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if "(vdisk-mount)" in stat.read_text():
                log = os.readlink(stat.with_name("fd") / "1")
                found += [stat.parent.name] * log.startswith(str(folder))
        except OSError:  # it has ended
            continue
    return sorted(found)


@pytest.fixture
def leftovers(tmp_path):
    """What a test has left on this machine: mounts, loop devices, processes, state."""

    def found():
        table = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        mounts = [line for line in table if str(tmp_path) in line]
        files = pathlib.Path("/sys/block").glob("loop*/loop/backing_file")
        loops = [text for text in map(_text_of, files) if str(tmp_path) in text]
        state = [str(path) for path in (tmp_path / "run").glob("mounts/*")]
        return mounts + loops + state + _daemons(tmp_path)

    return found


def _text_of(file):
    try:
        return file.read_text()
    except OSError:  # somebody else's, and gone
        return ""


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch, leftovers):
    """An own state folder; and every test must clean up, through us, after itself."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    yield
    left = leftovers()
    for line in left:  # so that one failure is not the next test's
        if " - " in line:
            subprocess.run(["umount", "-l", line.split()[4]], check=False)
    for pid in filter(str.isdigit, left):
        os.kill(int(pid), signal.SIGKILL)
    assert left == []


@pytest.fixture
def image(tmp_path):
    """A new sparse file of so many bytes."""

    def make(size, name="disk.img"):
        path = tmp_path / name
        with open(path, "wb") as stream:
            stream.truncate(size)
        return path

    return make


@pytest.fixture
def ext4(image, tool):
    path = image(64 * MIB)
    tool("mkfs.ext4", "-q", "-L", "root", path)
    return path


@pytest.fixture
def point(tmp_path):
    """A mount point that is not there yet."""
    return tmp_path / "mnt" / "deep"


@pytest.fixture(params=["flat", "served"])
def way(request):
    return request.param


@pytest.fixture
def ask(point):
    """A request for an image, straight from the file or served through FUSE."""

    def make(path, way, *, volume=None, read_only=False, at=None):
        if way == "flat":
            source = session.FlatFile(str(path), 0, os.path.getsize(path))
        else:
            source = functools.partial(RawDevice.open, path, writable=not read_only)
        return session.MountRequest(source, str(path), str(at or point), volume, read_only)

    return make


@pytest.fixture
def sha256():
    def digest(path):
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    return digest
