# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Debian guest: its root in a logical volume, in a monolithicSparse VMDK that boots.

Made by Debian's own tools and by qemu-img, not by the engine. It is built once and kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from . import contents, disk, packages

TOOLS = (
    *("mmdebstrap", "dpkg-deb", "extlinux", "sfdisk", "losetup", "mke2fs", "lvcreate"),
    "qemu-img",
)
CACHE = pathlib.Path(__file__).parents[2] / ".venv" / ".cache" / "guests"
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class GuestTools(Exception):
    """What this machine lacks to build the guest."""


def missing() -> str:
    """Why the guest cannot be built here; empty where it can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [tool for tool in TOOLS if shutil.which(tool, path=SYSTEM_PATH) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def build(cache: pathlib.Path | None = None) -> pathlib.Path:
    """The guest's disk; nobody may write to it. Raises GuestTools."""
    folder = cache or pathlib.Path(os.environ.get("VDISK_GUESTS") or CACHE)
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"debian-{recipe()}.vmdk"
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in parallel
        if not made.exists():
            _build(folder, made)
    return made


def recipe() -> str:
    """A name for what the guest is made of."""
    whole = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        if path.stem in ("contents", "disk", "packages"):
            whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


def _build(folder: pathlib.Path, made: pathlib.Path) -> None:
    why = missing()
    if why:
        raise GuestTools(why)
    with tempfile.TemporaryDirectory(prefix="vdisk-guest-", dir=_fast_folder() or folder) as name:
        work = pathlib.Path(name)
        root = work / "root"
        greeting = packages.greeting(work, "1.0")
        contents.bootstrap(root, greeting)
        raw = disk.assemble(work, root)
        unfinished = made.with_suffix(".unfinished")
        subprocess.run(["qemu-img", "convert", "-O", "vmdk", raw, unfinished], check=True)
        os.chmod(unfinished, 0o444)
        os.replace(unfinished, made)


def _fast_folder() -> str | None:
    """In memory: dpkg has each file written out. None if there is no room."""
    memory = "/dev/shm"
    needed = 2 << 30
    return memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > needed else None
