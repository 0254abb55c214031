# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Volumes mounted by libguestfs: the kernel of a small virtual machine parses them, not ours.

Each volume is a whole disk of that machine, which sees neither the partition table nor LVM nor
LUKS: finding and unlocking volumes is our own work, and names mean the same as without it.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import time
import typing as t

from .._device.errors import MissingTool, MountFailed
from . import detached
from .boot.trial import kvm_problem
from .command import SEARCH_PATH, find
from .detached import Detached, log_tail
from .mountinfo import mounted_at
from .processes import Process, started

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START_SECONDS = 300  # without KVM the first start, which builds the appliance, takes a minute
_STOP_SECONDS = 120  # it writes what it still holds
_KILL_SECONDS = 10
_SCRATCH = "appliance"  # in the state folder: what QEMU keeps of a read-only disk
_KEPT = ("HOME", "LIBGUESTFS_PATH", "LIBGUESTFS_CACHEDIR", "LIBGUESTFS_HV", "LIBGUESTFS_MEMSIZE")
_SETTINGS = "LIBGUESTFS_BACKEND_SETTINGS"
_HINT = (
    "apt-get install libguestfs-tools and a kernel package (linux-image-cloud-amd64), "
    "or dnf install guestfs-tools; or use isolation=host."
)


class Part(t.NamedTuple):
    """A file that holds one volume and nothing else, and where it shall be in the guest's tree."""

    file: str
    at: str = "/"


def require() -> str:
    """The path of guestmount. Raises MissingTool."""
    program = find("guestmount")
    if program is None:
        raise MissingTool("isolation=appliance needs guestmount of libguestfs", hint=_HINT)
    return program


def start(
    parts: Sequence[Part],
    folder: str,
    point: str,
    *,
    read_only: bool,
    born: Callable[[Process], None],
) -> None:
    """Mount the parts at `point`. `born` hears of guestmount before it does anything.

    Returns when it is there. Raises MissingTool, MountFailed: then stop() takes what is left.
    """
    server = _Appliance(require(), folder, _arguments(parts, point, read_only), _settings())
    known: list[Process] = []

    def told(process: Process) -> None:
        known.append(process)
        born(process)

    detached.start(server, told)
    _await_mount(known[0], folder, point)


def stop(process: Process, folder: str) -> None:
    """After the unmount: wait until it has written all and is gone; kill what does not end.

    Raises MountFailed if it had to be killed.
    """
    in_order = process.wait(_STOP_SECONDS)
    for each in _family(process):  # it, its QEMU, and what watches both
        each.send(signal.SIGKILL)
        each.wait(_KILL_SECONDS)
    shutil.rmtree(os.path.join(folder, _SCRATCH), ignore_errors=True)
    if not in_order:
        raise MountFailed(f"the appliance did not end within {_STOP_SECONDS} seconds; it was ended")


def _arguments(parts: Sequence[Part], point: str, read_only: bool) -> list[str]:
    disks, mounts = [], []
    for letter, part in zip("abcdefghijklmnopqrstuvwxyz", parts, strict=False):
        disks += ["-a", part.file]
        mounts += ["-m", f"/dev/sd{letter}:{part.at}"]
    mode = "--ro" if read_only else "--rw"
    return ["--no-fork", mode, "--format=raw", *disks, *mounts, point]


class _Appliance(Detached):
    """Becomes guestmount: its process is the one that is in the journal."""

    title = b"vdisk-appliance"

    def __init__(self, program: str, folder: str, arguments: list[str], settings: str) -> None:
        super().__init__(folder)
        self.program = program
        self.arguments = arguments
        self.settings = settings

    def work(self) -> None:
        """Never returns."""
        scratch = os.path.join(self.folder, _SCRATCH)
        os.makedirs(scratch, 0o700, exist_ok=True)
        os.setsid()  # its number is that of all its children then, see _family()
        self.tell_ready()
        environment = _environment(scratch, self.settings)
        os.execve(self.program, [self.program, *self.arguments], environment)


def _settings() -> str:
    """KVM is used only where a guest has run with it, or the user says so: else it may hang."""
    own = os.environ.get(_SETTINGS)
    if own is not None:
        return own
    return "" if kvm_problem(platform.machine()) is None else "force_tcg"


def _environment(scratch: str, settings: str) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "PATH": SEARCH_PATH,
        "LC_ALL": "C",
        "LIBGUESTFS_BACKEND": "direct",
        _SETTINGS: settings,
        "LIBGUESTFS_TMPDIR": scratch,
    }


def _await_mount(process: Process, folder: str, point: str) -> None:
    end = time.monotonic() + START_SECONDS
    while mounted_at(point) is None:
        if not process.alive:
            raise MountFailed("guestmount could not mount it", path=point, found=log_tail(folder))
        if time.monotonic() > end:
            reason = f"guestmount did not mount it within {START_SECONDS} seconds"
            raise MountFailed(reason, path=point, found=log_tail(folder))
        time.sleep(0.05)


def _family(process: Process) -> list[Process]:
    """Everything in its session, whether or not it still lives itself."""
    leader = started(process.pid)
    if leader not in (None, process.started):
        return []  # the number belongs to somebody else now: nobody of the session is left
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = [Process(pid, started(pid) or 0) for pid in numbers if _session(pid) == process.pid]
    return [each for each in found if each.alive]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
