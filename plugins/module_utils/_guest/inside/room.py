# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Namespaces of our own, with the guest's root as root.

After pivot_root(2) no link in an image leads to a file of this host.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct

from .kernel import (
    BIND,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUTS,
    NODEV,
    NOEXEC,
    NOSUID,
    PRIVATE,
    RDONLY,
    REC,
    REMOUNT,
    Refused,
    check,
    detach,
    libc,
    mount,
)  # fmt: skip

_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_IFUP, _GET_FLAGS, _SET_FLAGS = 1, 0x8913, 0x8914  # netdevice(7)


def enter(root: str, *, network: bool, shared: list[str]) -> None:
    """Change this process into it. Raises Refused, OSError."""
    check(libc.unshare(NEWNS | NEWUTS | NEWIPC | NEWPID | (0 if network else NEWNET)), "unshare")
    mount("none", "/", "", REC | PRIVATE)
    guest, *theirs = _opened([root, *shared])
    # What is needed of the host is gathered first, on a file system only we see.
    mount("tmpfs", "/run", "tmpfs", NOSUID | NODEV, "mode=755")
    _make_dev("/run/dev")
    _make_shared("/run/shared", shared, theirs)
    os.mkdir("/run/root")
    mount(f"/proc/self/fd/{guest}", "/run/root", "", BIND | REC)
    ours = _opened(["/run/dev", "/run/shared"])
    _pivot("/run/root", *ours)
    for fd in (guest, *theirs, *ours):  # from each of them a way leads to the files of the host
        os.close(fd)
    if not network:
        _raise_loopback()
    name = (read_regular("/etc/hostname", 256).split() or [b"localhost"])[0][:64]
    check(libc.sethostname(name, len(name)), "sethostname")


def _opened(folders: list[str]) -> list[int]:
    try:
        return [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in folders]
    except OSError as error:
        reason = f"{error.filename} cannot be shown to the guest: {error.strerror}"
        raise Refused(reason) from None


def _make_dev(dev: str) -> None:
    """The file system allows no devices: only those bound into it work, so mknod(2) is no use."""
    os.mkdir(dev)
    mount("tmpfs", dev, "tmpfs", NOSUID | NODEV | NOEXEC, "mode=755")
    for node in _NODES:
        os.close(os.open(f"{dev}/{node}", os.O_CREAT | os.O_WRONLY))
        mount(f"/dev/{node}", f"{dev}/{node}", "", BIND)
        # They can be written to all the same; but nobody changes the owner of the host's.
        mount("none", f"{dev}/{node}", "", BIND | REMOUNT | RDONLY | NOSUID | NOEXEC)
    for folder in ("pts", "shm"):
        os.mkdir(f"{dev}/{folder}")
    flags = NOSUID | NOEXEC
    mount("devpts", f"{dev}/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=620,gid=5")
    mount("tmpfs", f"{dev}/shm", "tmpfs", flags | NODEV, "mode=1777")
    os.symlink("pts/ptmx", f"{dev}/ptmx")
    os.symlink("/proc/self/fd", f"{dev}/fd")
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{dev}/{stream}")


def _make_shared(folder: str, shared: list[str], opened: list[int]) -> None:
    os.mkdir(folder)
    for path, fd in zip(shared, opened, strict=True):
        place = f"{folder}/{os.path.basename(os.path.normpath(path))}"
        if os.path.exists(place):
            raise Refused(f"{path}: two directories of one name cannot be shared with a guest")
        os.mkdir(place)
        mount(f"/proc/self/fd/{fd}", place, "", BIND)
        mount("none", place, "", BIND | REMOUNT | RDONLY | NOSUID | NODEV)


def _pivot(new_root: str, dev: int, shared: int) -> None:
    """The guest's root becomes ours, the host's is gone; pivot_root(2) explains the dots."""
    os.chdir(new_root)
    check(libc.pivot_root(b".", b"."), "pivot_root")
    inside = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        mount("tmpfs", "/run", "tmpfs", NOSUID | NODEV, "mode=755")
        for name, mode in (("lock", 0o1777), ("shared", 0o755), ("vdisk", 0o755)):
            os.mkdir(f"/run/{name}")
            os.chmod(f"/run/{name}", mode)
        for folder, place in ((dev, "/dev"), (shared, "/run/shared")):
            os.fchdir(folder)
            mount(".", place, "", BIND | REC)
        mount("sysfs", "/sys", "sysfs", RDONLY | NOSUID | NODEV | NOEXEC)
    except FileNotFoundError as error:
        reason = f"it has no directory {error.filename}"
        raise Refused(
            f"this is not the root of a system: {reason}. Is it another volume?"
        ) from None
    os.fchdir(inside)
    os.close(inside)
    detach(".")
    os.chdir("/")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        wish = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _GET_FLAGS, wish))[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _IFUP))


def read_regular(path: str, largest: int) -> bytes:
    """Never waits, as a pipe in its place would make us do."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, largest) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
