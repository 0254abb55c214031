# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel with its modules for guests: that of this machine, else Debian's, unpacked but
not installed, since nobody wants a new entry in his boot menu from tests."""

from __future__ import annotations

import glob
import os
import pathlib
import re
import subprocess
import tempfile

PACKAGE = "linux-image-cloud-amd64"
CACHE = pathlib.Path(__file__).parents[2] / ".venv" / ".cache" / "guests" / "kernel"


def find() -> tuple[pathlib.Path, pathlib.Path] | None:
    """The newest image, and the folder of its modules."""
    return _whole("/") or _whole(str(CACHE)) or _fetched()


def _whole(root: str) -> tuple[pathlib.Path, pathlib.Path] | None:
    for image in sorted(glob.glob(f"{root}/boot/vmlinuz-*"), reverse=True):
        modules = pathlib.Path(root, "lib/modules", os.path.basename(image)[len("vmlinuz-") :])
        if (modules / "modules.dep").exists() and os.access(image, os.R_OK):
            return pathlib.Path(image), modules
    return None


def _fetched() -> tuple[pathlib.Path, pathlib.Path] | None:
    """None where there is no apt, or no such package."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        try:
            shown = _run("apt-cache", "show", "--no-all-versions", PACKAGE)
            named = re.search(r"^Depends:.*?(linux-image-\S+)", shown, re.MULTILINE)
            if named is None:
                return None
            _run("apt-get", "download", "-q", named[1], cwd=folder)
            (package,) = glob.glob(f"{folder}/*.deb")
            _run("dpkg-deb", "--extract", package, f"{folder}/root")
            (modules,) = glob.glob(f"{folder}/root/lib/modules/*")
            _run("depmod", "--basedir", f"{folder}/root", os.path.basename(modules))
            os.rename(f"{folder}/root", CACHE)
        except (OSError, subprocess.CalledProcessError):
            pass  # another process may have been faster
    return _whole(str(CACHE))


def _run(*command: str, cwd: str | None = None) -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
