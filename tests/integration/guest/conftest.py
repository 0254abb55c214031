# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made by the system's own tools, and the proof that nothing is left behind."""

import dataclasses
import functools
import hashlib
import os
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.tests.guests import leftovers as found

MIB = 1 << 20
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


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


@pytest.fixture
def leftovers(tmp_path):
    """What a test has left on this machine: mounts, loop devices, processes, state."""
    return lambda: found.leftovers(tmp_path, "run/mounts/*")


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch, leftovers):
    """An own state folder; and every test must clean up, through us, after itself."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    yield
    left = leftovers()
    found.remove(left)
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


# Whole guests

BOOT = "11111111-2222-4333-8444-555555555555"
ROOT = "66666666-7777-4888-8999-aaaaaaaaaaaa"
EFI_PART = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
FSTAB = f"""\
# <file system> <mount point> <type> <options> <dump> <pass>
PARTUUID={EFI_PART} /boot/efi vfat umask=0077 0 1
UUID={ROOT} / ext4 errors=remount-ro 0 1
UUID={BOOT}\t/boot ext4 defaults 0 2
LABEL=data /srv/my\\040data ext4 defaults 0 2
UUID=0000-0000 none swap sw 0 0
nas:/export /home nfs defaults 0 0
tmpfs /tmp tmpfs defaults 0 0
/srv /opt none bind 0 0
LABEL=backup /mnt ext4 noauto 0 0
"""


@pytest.fixture(scope="session")
def parts(tool):
    """Makes partitions, and disks of them, in a folder."""
    return Parts(tool)


class Parts:
    def __init__(self, tool):
        self.tool = tool

    def filled(self, folder, name, size, files, *options, folders=(), links=()):
        """An ext4 of so many MiB that holds the files of a tree."""
        tree, path = folder / f"{name}.tree", folder / f"{name}.part"
        for file, text in files.items():
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            (tree / file).write_text(text)
        for below in folders:
            (tree / below).mkdir(parents=True)
        for link, target in links:
            (tree / link).symlink_to(target)
        with open(path, "wb") as stream:
            stream.truncate(size * MIB)
        self.tool("mkfs.ext4", "-q", "-O", "^has_journal", "-d", tree, *options, path)
        return path

    def root(self, folder, fstab=FSTAB, **more):
        """Of a guest."""
        options = {"folders": ["boot", "srv/my data", "tmp", "opt", "mnt", "home"], **more}
        return self.filled(folder, "root", 12, {"etc/fstab": fstab}, "-U", ROOT, **options)

    def others(self, folder):
        """EFI (vfat), /boot and data."""
        efi = folder / "efi.part"
        with open(efi, "wb") as stream:
            stream.truncate(4 * MIB)
        self.tool("mkfs.vfat", "-F", "12", efi)
        self.tool("mcopy", "-i", efi, "/etc/hostname", "::GRUB.CFG")
        boot = self.filled(folder, "boot", 8, {"vmlinuz": "kernel"}, "-U", BOOT, folders=["efi"])
        return efi, boot, self.filled(folder, "data", 4, {"file": "data"}, "-L", "data")

    def join(self, folder, *parts, name="disk.img", guids=()):
        """A GPT disk of these partitions, each at a whole MiB."""
        sizes = [os.path.getsize(part) // MIB for part in parts]
        path = folder / name
        with open(path, "wb") as stream:
            stream.truncate((sum(sizes) + 2) * MIB)
        starts = [1 + sum(sizes[:number]) for number in range(len(sizes))]
        calls = [
            f"-n{number}:{start}M:+{size}M"
            for number, (start, size) in enumerate(zip(starts, sizes, strict=True), 1)
        ]
        guids = (f"-u{number}:{guid}" for number, guid in guids)
        self.tool("sgdisk", *calls, *guids, path)
        with open(path, "r+b") as stream:
            for start, part in zip(starts, parts, strict=True):
                stream.seek(start * MIB)
                stream.write(part.read_bytes())
        return path


@pytest.fixture
def filled(parts, tmp_path):
    return functools.partial(parts.filled, tmp_path)


@pytest.fixture
def root(parts, tmp_path):
    return functools.partial(parts.root, tmp_path)


@pytest.fixture
def join(parts, tmp_path):
    return functools.partial(parts.join, tmp_path)


@pytest.fixture(scope="session")
def others(parts, tmp_path_factory):
    return parts.others(tmp_path_factory.mktemp("others"))


@pytest.fixture(scope="session")
def guest_pattern(parts, others, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guest")
    efi, boot, data = others
    return parts.join(folder, efi, boot, parts.root(folder), data, guids=[(1, EFI_PART)])


@pytest.fixture
def guest(guest_pattern, tmp_path, tool):
    tool("cp", "--sparse=always", guest_pattern, tmp_path / "guest.img")
    return tmp_path / "guest.img"


@pytest.fixture
def ask_guest(ask):
    """A request for a whole guest on disks."""

    def make(first, way="flat", *, volume=None, read_only=True, further=(), subvolume=None):
        requests = [
            ask(path, way, volume=volume, read_only=read_only) for path in (first, *further)
        ]
        return dataclasses.replace(
            requests[0],
            layout="guest",
            subvolume=subvolume,
            further=tuple(request.source for request in requests[1:]),
            paths=tuple(map(str, (first, *further))),
        )

    return make
