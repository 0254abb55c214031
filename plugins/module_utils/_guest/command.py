# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Programs of the system, always with a time limit."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import typing as t

from .._device.errors import MissingTool, MountFailed

if t.TYPE_CHECKING:
    from collections.abc import Sequence

SEARCH_PATH = os.pathsep.join(
    (os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin")
)
_DIE_SECONDS = 5
_MESSAGE = 2000  # characters kept of what a program says


class ProgramFailed(MountFailed):
    """A program ended with an error; `output` is what it said."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class ProgramHung(ProgramFailed):
    """It did not end in time."""


def find(program: str) -> str | None:
    """The path of a program, also where only root looks."""
    return shutil.which(program, path=SEARCH_PATH)


def require(program: str, package: str) -> str:
    """The path of a program. Raises MissingTool."""
    path = find(program)
    if path is None:
        raise MissingTool(f"{program} is not installed", hint=f"apt-get install {package}")
    return path


def run(argv: Sequence[str], seconds: float, *, package: str) -> str:
    """What it says. Raises MissingTool, ProgramFailed, ProgramHung."""
    program = require(argv[0], package)
    # A file, not a pipe: a program that goes to the background keeps a pipe open.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function # no Ansible down here
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
        )
        code = _wait(process, seconds)
        output.seek(0)
        text = output.read(_MESSAGE).decode(errors="replace").strip()
    if code == 0:
        return text
    how = f"did not end within {seconds:g} seconds" if code is None else f"failed (code {code})"
    error = ProgramHung if code is None else ProgramFailed
    raise error(f"{' '.join(argv)} {how}: {text or 'no message'}", text)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code; None for a program that had to be killed."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_DIE_SECONDS)  # one that hangs in the kernel does not even die
        return None
