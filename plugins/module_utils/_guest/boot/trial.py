# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Whether KVM really works here, which /dev/kvm alone does not tell.

Some hosts have it, and a guest hangs or is stopped with the first instruction that the hypervisor
cannot emulate. So one sector is run that goes where every system of today goes, to 64 bits, does
what broke there (cmpxchg16b), and says so on the serial port.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import select
import socket
import tempfile
import time
import typing as t

from ..._device.errors import InvalidRequest, MissingTool
from .process import KVM, kvm_group, running

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 5
_FLOPPY = 1440 << 10  # bytes
_SAYS = b"VDISK64"
# From 0x7c00 on, in 16 bits: page tables at 0x1000 that map the first 2 MiB; PAE and SSE, EFER.LME,
# paging. In 64 bits: cmpxchg16b and movups at 0x5000, and where they did what they should, the
# text to COM1. Its source: tests/integration/boot/trial.s.
_SECTOR = bytes.fromhex(
    "fa31c08ed88ec08ed0fc66bf001000000f22df66b9000c00006631c066f3abc7"
    "0600100320c70600200330c7060030830066b8200600000f22e066b9800000c0"
    "0f320d00010f300f0116b87c66b8110000800f22c0ea5a7c0800bf0050000031"
    "c031d2bb5a00000031c9f0480fc70f75240f10070f114710807f105a7517be98"
    "7c0000bafd030000eca82074fbb2f8acee84c075eef4ebfd564449534b36340a"
    "000f1f8000000000000000000000000000000000009a20000f00a87c0000"
)


@functools.cache
def kvm_problem(
    architecture: str, accelerator: str = "kvm", seconds: float = _SECONDS
) -> str | None:
    """Why KVM is of no use here; None where a guest ran. Never takes much longer than `seconds`."""
    if architecture != "x86_64":
        return f"KVM is only tried with guests of x86_64, not of {architecture}"
    if platform.machine() != architecture:
        return f"this host is not of {architecture}"
    if accelerator == "kvm" and not _may_use():
        return f"the user that QEMU runs as may not use {KVM}"
    try:
        return None if _ran(accelerator, seconds) else "a guest does not run with it"
    except (MissingTool, OSError) as error:
        return str(error)


def accelerator(wanted: str, architecture: str) -> tuple[str, str | None]:
    """kvm or tcg, and why not kvm where that was not asked for. Raises InvalidRequest."""
    if wanted == "tcg":
        return "tcg", None
    problem = kvm_problem(architecture)
    if problem is None:
        return "kvm", None
    if wanted == "kvm":
        raise InvalidRequest(f"KVM cannot be used: {problem}", hint="Say accelerator: auto.")
    return "tcg", problem


def _may_use() -> bool:
    """Whether QEMU will be let in, which runs as nobody where we are root."""
    if not os.path.exists(KVM):
        return False
    if os.geteuid():
        return os.access(KVM, os.R_OK | os.W_OK)
    return kvm_group() is not None or os.stat(KVM).st_mode & 0o006 == 0o006


def _ran(accelerator: str, seconds: float) -> bool:
    """Whether the sector said what it has to say."""
    ours, theirs = socket.socketpair()
    with contextlib.closing(ours), contextlib.closing(theirs), _floppy() as disk:
        cpu = "host" if accelerator == "kvm" else "max"
        arguments = [
            *("-machine", f"pc,accel={accelerator}", "-cpu", cpu, "-m", "16", "-nodefaults"),
            *("-display", "none", "-nic", "none", "-no-reboot", "-sandbox", "on"),
            *("-chardev", f"socket,id=console,fd={theirs.fileno()}", "-serial", "chardev:console"),
            *("-add-fd", f"fd={disk},set=1", "-boot", "a"),
            *("-drive", "if=floppy,format=raw,readonly=on,file=/dev/fdset/1"),
        ]
        files = [theirs.fileno(), disk]
        with running("qemu-system-x86_64", arguments, files, package="qemu-system-x86") as program:
            theirs.close()
            said, end = b"", time.monotonic() + seconds
            while _SAYS not in said and not program.ended and time.monotonic() < end:
                if select.select([ours], [], [], 0.1)[0]:
                    said = said[-len(_SAYS) :] + ours.recv(4096)
            program.kill()
            return _SAYS in said


@contextlib.contextmanager
def _floppy() -> Iterator[int]:
    """A handle that can only read."""
    with tempfile.TemporaryFile() as file:
        file.write(_SECTOR.ljust(510, b"\0") + b"\x55\xaa")
        file.truncate(_FLOPPY)
        file.flush()
        handle = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
        try:
            yield handle
        finally:
            os.close(handle)
