# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bench_mount.py compares: ways to get at the files in a disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

OUR_OWN = """\
import functools, os, sys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
verb, disk, point, flat = sys.argv[1:]
if verb == "unmount":
    session.unmount(point)
else:
    source = functools.partial(open_disk, disk, writable=True)
    if flat:
        source = session.FlatFile(disk, 0, os.path.getsize(disk))
    session.mount(session.MountRequest(source, disk, point, read_only=flat == "read-only"))
"""


class Mounter:
    """One way. `work` is an empty folder for whatever it needs."""

    name: t.ClassVar[str]
    programs: t.ClassVar[tuple[str, ...]] = ()
    disk: t.Any = "vmdk"  # which form of the disk; then its path
    slow = False  # minutes, if it did as much as the others
    read_only = False

    def __init__(self, disk: Path, work: Path) -> None:
        self.disk = disk
        self.work = work
        self.point = work / "mnt"
        self.point.mkdir()
        self.servers: list[subprocess.Popen[bytes]] = []

    @classmethod
    def missing(cls) -> str:
        """Why it cannot be measured here; empty where it can."""
        absent = [name for name in cls.programs if shutil.which(name) is None]
        return f"{', '.join(absent)} not installed" if absent else ""

    def mount(self) -> Path:
        raise NotImplementedError

    def unmount(self) -> None:
        call("umount", self.point)
        for server in reversed(self.servers):
            server.terminate()
            server.wait()

    def serve(self, *command: object, ready: Path) -> None:
        """A program that stays, until it shows a file with something in it."""
        self.servers.append(subprocess.Popen([str(word) for word in command]))
        end = time.monotonic() + 120
        while not (ready.exists() and ready.stat().st_size):
            if time.monotonic() > end or self.servers[-1].poll() is not None:
                sys.exit(f"{command[0]} shows no disk")
            time.sleep(0.002)


class Ours(Mounter):
    """vmdk_mount's engine, each verb in a process of its own."""

    name = "vdisk"

    def _call(self, verb: str, flat: str = "") -> None:
        environment = {**os.environ, "VDISK_RUN_DIR": str(self.work / "run")}
        command = [sys.executable, "-c", OUR_OWN, verb, str(self.disk), str(self.point), flat]
        subprocess.run(command, env=environment, check=True)

    def mount(self) -> Path:
        self._call("mount")
        return self.point

    def unmount(self) -> None:
        self._call("unmount")


class OursFlat(Ours):
    """A disk that is a plain file needs no server."""

    name = "vdisk (flat)"
    disk = "raw"

    def mount(self) -> Path:
        self._call("mount", "flat")
        return self.point


class OursReadOnly(OursFlat):
    """The usual case: somebody looks into a disk."""

    name = "vdisk (flat, r/o)"
    read_only = True

    def mount(self) -> Path:
        self._call("mount", "read-only")
        return self.point


class Loop(Mounter):
    """What the kernel does by itself."""

    name = "loop"
    disk = "raw"

    def mount(self) -> Path:
        call("mount", "-o", "loop", self.disk, self.point)
        return self.point


class NbdFuse(Mounter):
    """qemu-nbd reads the VMDK, nbdfuse shows it as a file."""

    name = "qemu-nbd + nbdfuse"
    programs = ("qemu-nbd", "nbdfuse")

    def mount(self) -> Path:
        folder = self.work / "fuse"
        folder.mkdir()
        nbd = ("--socket-activation", "qemu-nbd", "-f", "vmdk", self.disk)
        self.serve("nbdfuse", folder / "disk.raw", *nbd, ready=folder / "disk.raw")
        call("mount", "-o", "loop", folder / "disk.raw", self.point)
        return self.point

    def unmount(self) -> None:
        call("umount", self.point)
        call("fusermount3", "-u", self.work / "fuse")
        self.servers.pop().wait()


class StorageDaemon(Mounter):
    """QEMU's own FUSE export."""

    name = "qemu-storage-daemon"
    programs = ("qemu-storage-daemon",)

    def mount(self) -> Path:
        file = self.work / "disk.raw"
        file.touch()
        self.serve(
            "qemu-storage-daemon",
            *("--blockdev", f"driver=file,node-name=f,filename={self.disk}"),
            *("--blockdev", "driver=vmdk,node-name=v,file=f"),
            *("--export", f"type=fuse,id=e,node-name=v,mountpoint={file},writable=on"),
            ready=file,
        )
        call("mount", "-o", "loop", file, self.point)
        return self.point


class GuestMount(Mounter):
    """libguestfs: a virtual machine. Without KVM unless LIBGUESTFS_BACKEND_SETTINGS says else."""

    name = "guestmount"
    programs = ("guestmount",)
    slow = True

    @classmethod
    def missing(cls) -> str:
        kernels = list(Path("/boot").glob("vmlinuz-*"))
        return super().missing() or ("" if kernels else "no kernel in /boot for its appliance")

    def mount(self) -> Path:
        environment = {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg", **os.environ}
        environment["LIBGUESTFS_BACKEND"] = "direct"
        pid = ("--pid-file", self.work / "pid")
        words = ("guestmount", *pid, "--format=vmdk", "-a", self.disk, "-m", "/dev/sda", self.point)
        subprocess.run([str(word) for word in words], env=environment, check=True)
        return self.point

    def unmount(self) -> None:
        pid = Path(f"/proc/{(self.work / 'pid').read_text().strip()}")
        call("umount", self.point)
        while pid.exists():
            time.sleep(0.1)


def call(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


MOUNTERS: tuple[type[Mounter], ...] = (
    Ours,
    NbdFuse,
    StorageDaemon,
    GuestMount,
    OursFlat,
    OursReadOnly,
    Loop,
)
