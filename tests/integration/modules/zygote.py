# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts modules quickly: a process that has imported everything, and forks for each one.

A module still has a process of its own, with its own environment, folder, and standard files; what
is saved is half a second of imports, in thousands of runs.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import subprocess
import sys
import tempfile
import threading
import traceback
import typing as t
from pathlib import Path

MODULES = "ansible_collections.vdisk.lifecycle.plugins.modules"
KEYS = "ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.keys"
TOO_LONG = 300  # seconds
LIBRARIES = ("blake3", "cryptography.hazmat.primitives.ciphers.aead", "zstandard")


class Done(t.NamedTuple):
    """How a module ended."""

    code: int
    stdout: str
    stderr: str
    processor_time: float  # seconds


class Zygote:
    """The process, as tests see it. Ends with them: it reads from us."""

    def __init__(self) -> None:
        argv = [sys.executable, __file__]
        self._imports = os.environ.get("PYTHONPATH")
        self._free = threading.Lock()
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, module: str, text: str) -> Done:
        """As `python -m module < text` would, here and now."""
        if os.environ.get("PYTHONPATH") != self._imports:  # what was imported is not what would be
            return run_alone(module, text)
        if not self._free.acquire(blocking=False):  # a test that runs two at once means it
            return run_alone(module, text)
        try:
            return self._run_forked(module, text)
        finally:
            self._free.release()

    def _run_forked(self, module: str, text: str) -> Done:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
            files[0].write_text(text)
            request = {
                "module": module,
                "environment": dict(os.environ),
                "folder": os.getcwd(),
                "files": list(map(str, files)),
            }
            pipe_in, pipe_out = self._process.stdin, self._process.stdout
            pipe_in.write(json.dumps(request).encode() + b"\n")
            pipe_in.flush()
            if not select.select([pipe_out], [], [], TOO_LONG)[0]:
                self._process.kill()
                raise TimeoutError(f"{module} did not end in {TOO_LONG} seconds")
            code, seconds = pipe_out.readline().split()
            return Done(int(code), files[1].read_text(), files[2].read_text(), float(seconds))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def run_alone(module: str, text: str) -> Done:
    """The long way."""
    argv = [sys.executable, "-m", module]
    done = subprocess.run(
        argv, input=text, capture_output=True, text=True, timeout=TOO_LONG, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr, 0.0)


def serve() -> dict[str, t.Any] | None:
    """Wait for requests until there are no more; returns, in a child, the one that it is for."""
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            return t.cast("dict[str, t.Any]", json.loads(line))
        _child, status, used = os.wait4(child, 0)
        seconds = used.ru_utime + used.ru_stime
        os.write(1, b"%d %f\n" % (os.waitstatus_to_exitcode(status), seconds))
    return None


def be(request: dict[str, t.Any]) -> None:
    """A process like any that Ansible starts."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    modes = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)
    for number, (path, mode) in enumerate(zip(request["files"], modes, strict=True)):
        fd = os.open(path, mode, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def be_and_end(request: dict[str, t.Any]) -> t.NoReturn:
    """With all that the end of a process does, but for taking apart what it has imported: that
    takes longer than most modules run."""
    code: t.Any = 0
    try:
        be(request)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # waits for them, as multiprocessing does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def prepare() -> None:
    """Import all that modules do, and make keys cheap: scrypt would be most of many tests.

    What is frozen no collection looks at in a child: that would copy nearly all of our memory."""
    package = importlib.import_module(MODULES)
    names = [f"{MODULES}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]
    for name in (*names, *LIBRARIES):
        importlib.import_module(name)
    with contextlib.suppress(ImportError):  # plain disks are tested without it, too
        importlib.import_module("pyVmomi")
    importlib.import_module(KEYS).COST = (1 << 4, 8, 1)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    prepare()
    mine = serve()
    if mine is not None:
        be_and_end(mine)
