# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What runs inside: the command, or the copying of a file."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import typing as t

from .kernel import NotThis, Refused
from .room import read_regular

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh", "TERM": "dumb",
    "LANG": "C.UTF-8", "SYSTEMD_OFFLINE": "1", "DEBIAN_FRONTEND": "noninteractive",
}  # fmt: skip
_MACHINES = {  # e_machine of ELF, as `uname -m` says it
    3: "i686", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64",
    243: "riscv64",
}  # fmt: skip
_PYTHON = re.compile(r"(?:platform-)?python(\d+)(?:\.(\d+))?")
_PYTHONS = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/libexec")


def run_command(request: dict[str, t.Any]) -> int:
    """Become the command, or do what is asked for; the exit status. Raises Refused."""
    if not request["input"]:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    verb = request["verb"]
    if verb == "put":
        return _put(request["path"], request["offset"])
    if verb == "fetch":
        return _fetch(request["path"], request["offset"], request["length"])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    os.chdir("/root" if os.path.isdir("/root") else "/")
    argv = request["argv"]
    try:
        os.execve(argv[0], argv, _ENVIRONMENT)
    except OSError as error:
        raise Refused(_why_not(argv[0], error)) from None


def _why_not(program: str, error: OSError) -> str:
    head = read_regular(program, 20)
    machine = _MACHINES.get(int.from_bytes(head[18:20], "little"), "an unknown architecture")
    host = os.uname().machine
    if head[:4] == b"\x7fELF" and machine != host:
        return f"the guest is {machine}, this host is {host}: its programs cannot be run here"
    if error.errno == errno.ENOENT and not head:
        return f"the guest has no {program}. Is it the volume of a system, with its /usr?"
    return f"{program} of the guest cannot be run: {error.strerror}"


def _put(path: str, offset: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | (0 if offset else os.O_TRUNC)
    try:
        fd = os.open(path, flags, 0o600)
        os.lseek(fd, offset, os.SEEK_SET)
        while data := os.read(0, 1 << 20):
            _write(fd, data)
    except OSError as error:
        raise NotThis(f"{path} of the guest cannot be written: {error.strerror}") from None
    return 0


def _fetch(path: str, offset: int, length: int) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotThis(f"{path} of the guest is not a file")
        os.lseek(fd, offset, os.SEEK_SET)
        while length and (data := os.read(fd, min(length, 1 << 20))):
            _write(1, data)
            length -= len(data)
    except OSError as error:
        raise NotThis(f"{path} of the guest cannot be read: {error.strerror}") from None
    return 0


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def require_python(wanted: str, oldest: tuple[int, ...]) -> None:
    """Raises NotThis if it is missing or too old; nothing is started to find out."""
    folders = ("",) if "/" in wanted else _PYTHONS
    paths = [os.path.join(folder, wanted) for folder in folders]
    found = next(filter(os.path.exists, paths), None)
    version = found and _version(os.path.realpath(found))
    if found and (not version or version >= oldest):
        return
    there = ", ".join(_pythons()) or "none"
    least = ".".join(map(str, oldest))
    raise NotThis(
        f"modules need Python {least} or newer in the guest; {wanted} is "
        f"{'.'.join(map(str, version)) if version else 'missing'}. There: {there}. "
        "Name another one in ansible_python_interpreter; raw works without."
    )


def _version(path: str) -> tuple[int, ...] | None:
    match = _PYTHON.fullmatch(os.path.basename(path))
    return (int(match[1]), int(match[2])) if match and match[2] else None


def _pythons() -> list[str]:
    names = [os.path.join(d, name) for d in _PYTHONS if os.path.isdir(d) for name in os.listdir(d)]
    return sorted({os.path.realpath(path) for path in names if _version(os.path.realpath(path))})
