# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
# pylint: disable=unused-import
"""Disks with bad files in them, made by the system's own tools."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import zipfile

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    modules,
    zygote,
)

# In two halves, so that this file is not taken for what it makes.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
MIB = 1 << 20
SIZES = {"ext4": 64, "xfs": 304, "vfat": 40, "ntfs": 32}  # MiB
NUMBERS = {kind: number for number, kind in enumerate(SIZES, 1)}
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def run(*argv):
    program = shutil.which(argv[0], path=_PATH)
    if program is None:
        pytest.skip(f"{argv[0]} is not installed")
    done = subprocess.run(
        [program, *map(str, argv[1:])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def tool():
    """Run a program of the system; the test is skipped where it is not installed."""
    return run


@pytest.fixture(scope="session")
def eicar():
    return EICAR


def zip_of(name, content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        # the same bytes each time: the time of an entry is in them
        archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def tar_of(name, content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def bad_files():
    """What is planted, by name; those that begin with `gone` are deleted again."""
    return {
        "plain.com": EICAR,
        "in.zip": zip_of("a/bad.com", EICAR),
        "in.tar.gz": tar_of("bad.com", EICAR),
        "nested.zip": zip_of("deep.tar.gz", tar_of("in.zip", zip_of("bad.com", EICAR))),
        "gone.com": EICAR,
        "gone.zip": zip_of("bad.com", EICAR),
    }


@pytest.fixture(scope="session")
def bad():
    return bad_files()


@contextlib.contextmanager
def mounted(image, kind, folder):
    """A volume at a folder, by the kernel or FUSE's tools, not by us."""
    folder.mkdir()
    loop = run("losetup", "--find", "--show", image)
    try:
        way = ["ntfs-3g", loop] if kind == "ntfs" else ["mount", "-t", kind, loop]
        run(*way, folder)
        yield folder
        os.sync()
    finally:
        run("umount", folder)
        # ntfs-3g goes on for a moment
        subprocess.run(["udevadm", "settle"], check=False, capture_output=True)
        run("losetup", "--detach", loop)
        folder.rmdir()


def fill(image, kind, folder):
    """Good files, bad files, and some that are deleted."""
    files = {**bad_files(), "good.txt": b"nothing here\n" * 1000}
    if kind == "vfat":
        for name, content in files.items():
            (folder / name).write_bytes(content)
            run("mcopy", "-i", image, folder / name, f"::{name}")
            (folder / name).unlink()
        run("mdel", "-i", image, "::gone.com", "::gone.zip")
        return
    with mounted(image, kind, folder / "m") as root:
        for name, content in files.items():
            (root / name).write_bytes(content)
        if kind != "ntfs":
            (root / "line\nbreak: OK.com").write_bytes(EICAR)
            (root / os.fsdecode(b"\xff.com")).write_bytes(EICAR)
            os.symlink("/etc/passwd", root / "link")
            os.mkfifo(root / "pipe")
        os.sync()
        for name in ("gone.com", "gone.zip"):
            (root / name).unlink()


MAKERS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "vfat": ["mkfs.vfat", "-F", "32", "-s", "1"],
    "ntfs": ["mkfs.ntfs", "-q", "-F", "-f"],
}


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """A GPT disk with one volume of each kind, as a sparse VMDK."""
    folder = tmp_path_factory.mktemp("planted")
    disk, at, table = folder / "disk.raw", 1, "label: gpt\n"
    with open(disk, "wb") as stream:
        stream.truncate((sum(SIZES.values()) + 4) * MIB)
    for kind, size in SIZES.items():
        image = folder / kind
        with open(image, "wb") as stream:
            stream.truncate(size * MIB)
        run(*MAKERS[kind], image)
        fill(image, kind, folder)
        run("dd", f"if={image}", f"of={disk}", "bs=1M", f"seek={at}", "conv=notrunc,sparse")
        table += f"start={at * 2048}, size={size * 2048}, type=linux\n"
        image.unlink()
        at += size
    subprocess.run(
        ["sfdisk", "-q", str(disk)], input=table.encode(), check=True, env={"PATH": _PATH}
    )
    run("qemu-img", "convert", "-O", "vmdk", disk, folder / "planted.vmdk")
    disk.unlink()
    return folder / "planted.vmdk"


@pytest.fixture(scope="session")
def database():
    """Signatures with one virus in it, as the user of the scanner may read them."""
    if shutil.which("clamd", path=_PATH) is None:
        pytest.skip("clamd is not installed")
    # Not below pytest's own folder: each start of another pytest shuts that to others again.
    with tempfile.TemporaryDirectory(prefix="vdisk-signatures-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        text = f"Eicar-Test:0:*:{EICAR.hex()}\n"
        (folder / "test.ndb").write_text(text, encoding="ascii")
        yield folder


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    """An own state folder; nothing may be left running or mounted."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    yield
    mounts = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    left = [line for line in mounts.splitlines() if str(tmp_path) in line]
    for line in left:
        subprocess.run(["umount", "-l", line.split()[4]], check=False)
    assert left == []


@pytest.fixture
def mount(modules, tmp_path):  # noqa: F811
    """mount(path, volume, …) -> the folder; unmounted at the end."""
    points = []

    def make(path, **options):
        point = tmp_path / f"mnt{len(points)}"
        modules.vmdk_mount(path=path, mount_point=point, **options)
        points.append(point)
        return point

    yield make
    for point in points:
        modules.vmdk_mount(mount_point=point, state="unmounted")


@pytest.fixture
def digest():
    def of(path):
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    return of
