# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test has left on this machine, below a folder of its own: mounts, processes and so on."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess


def daemons(folder: pathlib.Path) -> list[str]:
    """The ids of living processes that serve disks and log below a folder."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if "(vdisk-mount)" in stat.read_text():
                log = os.readlink(stat.with_name("fd") / "1")
                found += [stat.parent.name] * log.startswith(str(folder))
        except OSError:  # it has ended
            continue
    return sorted(found)


def leftovers(folder: pathlib.Path, *names: str) -> list[str]:
    """Mounts, loop devices, files of these names, and processes."""
    table = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    mounts = [line for line in table if str(folder) in line]
    files = pathlib.Path("/sys/block").glob("loop*/loop/backing_file")
    loops = [text for text in map(_text_of, files) if str(folder) in text]
    kept = [str(path) for name in names for path in folder.glob(name)]
    return mounts + loops + kept + daemons(folder)


def remove(left: list[str]) -> None:
    """So that one failure is not the next test's."""
    for line in left:
        if " - " in line:
            subprocess.run(["umount", "-l", line.split()[4]], check=False)
    for pid in filter(str.isdigit, left):
        os.kill(int(pid), signal.SIGKILL)


def _text_of(file: pathlib.Path) -> str:
    try:
        return file.read_text()
    except OSError:  # somebody else's, and gone
        return ""
