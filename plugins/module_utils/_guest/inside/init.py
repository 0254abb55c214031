# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Process 1 of the namespace: lives as long as the command, and takes all others with it."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import struct
import typing as t

from .calls import refuse_calls
from .command import require_python, run_command
from .kernel import (
    BIND,
    CAPBSET_DROP,
    NO_NEW_PRIVS,
    NODEV,
    NOEXEC,
    NOSUID,
    PDEATHSIG,
    RDONLY,
    REMOUNT,
    SET_DUMPABLE,
    SET_NAME,
    Refused,
    check,
    fork,
    libc,
    mount,
    prctl,
)  # fmt: skip

_PROC = 0x9FA0  # f_type of statfs(2)
# All in /proc.
_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs", "mtrr", "dynamic_debug")
_HIDDEN = ("kcore", "keys", "kallsyms", "timer_list", "sched_debug", "latency_stats")
_EMPTY = ("acpi", "scsi")
# capabilities(7), by number: what package managers need. DAC_READ_SEARCH is not among them: with
# open_by_handle_at(2) it opens any file of a file system of which one is seen.
_KEPT = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7,
    "LINUX_IMMUTABLE": 9, "NET_BIND_SERVICE": 10, "SYS_CHROOT": 18, "MKNOD": 27,
    "AUDIT_WRITE": 29, "SETFCAP": 31,
}  # fmt: skip


def start(request: dict[str, t.Any]) -> tuple[int, int]:
    """Its process number here, and a pipe that ends with it."""
    reading, writing = os.pipe()
    process = fork(lambda: _run(request, writing))
    os.close(writing)
    return process, reading


def _run(request: dict[str, t.Any], life: int) -> int:
    os.closerange(3, life)  # the guest could use what this process has open: /proc/1/fd
    os.closerange(life + 1, 1 << 16)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    prctl(PDEATHSIG, signal.SIGKILL)
    if _is_broken(life):  # our parent was killed before that
        return 0
    # Ansible takes the name of process 1 for that of a service manager, but looks closer at this.
    prctl(SET_NAME, ctypes.c_char_p(b"init"))
    os.setsid()
    _make_proc()
    _be_the_first_to_go()
    _drop_rights()
    refuse_calls()
    prctl(SET_DUMPABLE, 0)  # nobody in there traces it, to outlive us or to have what it has
    if request["python"]:
        require_python(request["python"], tuple(request["oldest"]))
    return _reap_until(fork(lambda: run_command(request)))


def _is_broken(pipe: int) -> bool:
    events = select.poll()
    events.register(pipe, 0)
    return bool(events.poll(0))


def _reap_until(command: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _make_proc() -> None:
    """Writing to parts of /proc needs no capability, only to be root: core_pattern is one.

    From within: another command in this guest may give the folder another name at any moment.
    """
    mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC)
    os.chdir("/proc")
    _require_proc()
    flags = RDONLY | NOSUID | NODEV | NOEXEC
    for path in filter(os.path.exists, _READ_ONLY):
        mount(path, path, "", BIND)
        mount("none", path, "", BIND | REMOUNT | flags)
    for name in _HIDDEN:
        if os.path.exists(name):
            mount("/dev/null", name, "", BIND)
    for path in filter(os.path.isdir, _EMPTY):
        mount("tmpfs", path, "tmpfs", flags)


def _require_proc() -> None:
    """Raises Refused where we are somewhere else."""
    facts = (ctypes.c_long * 32)()  # struct statfs begins with f_type
    check(libc.statfs(b".", facts), "/proc")
    if facts[0] != _PROC:
        raise Refused("another command has renamed /proc of the guest just now; run this again")


def _be_the_first_to_go() -> None:
    """Where memory is short, before what the host needs; we are in /proc."""
    with open("self/oom_score_adj", "wb") as stream:
        stream.write(b"1000")
    os.chdir("/")


def _drop_rights() -> None:
    """For good: also for what the guest's root starts, setuid or not."""
    try:
        for number in set(range(64)) - set(_KEPT.values()):
            prctl(CAPBSET_DROP, number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the kernel knows no more of them
            raise
    mask = sum(1 << number for number in _KEPT.values())
    header = struct.pack("Ii", 0x20080522, 0)
    check(libc.capset(header, struct.pack("6I", mask, mask, 0, 0, 0, 0)), "capset")
    prctl(NO_NEW_PRIVS, 1)
