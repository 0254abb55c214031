# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""VMware's library, which the user brings, and nbdkit's plugin for it: are they there, and which.

See nbdkit-vddk-plugin(1).
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess

from ..._device.errors import DiskNotFound, MissingLibrary, MissingTool

NBDKIT, LIBRARY = "nbdkit", "libvixDiskLib.so"
_SECONDS = 60
_SEARCHED = os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"))
# Not all of ours: a password may be in there.
ENVIRONMENT = {"PATH": os.environ.get("PATH", _SEARCHED), "LC_ALL": "C", "HOME": "/nonexistent"}


@dataclasses.dataclass(frozen=True)
class Vixlib:
    """What serves the disks. The version may be unknown, as in that of a compatible library."""

    nbdkit: str
    libdir: str
    major: int | None
    version: str


def find_vixlib(libdir: str) -> Vixlib:
    """Raises MissingTool, MissingLibrary, DiskNotFound: in words what to install."""
    nbdkit = shutil.which(NBDKIT, path=os.pathsep.join((ENVIRONMENT["PATH"], _SEARCHED)))
    if nbdkit is None:
        raise MissingTool("nbdkit is not installed", hint="apt-get install nbdkit")
    _require_library(libdir)
    told = _dump(nbdkit, libdir)
    major = told.get("vddk_library_version", "")
    if not major.isdigit():
        raise MissingLibrary(
            "nbdkit cannot load the library in vddk_libdir",
            path=libdir,
            found=told.get("vddk_dll") or "nothing that it could load",
            expected=f"lib64/{LIBRARY} of VDDK 7 or later, for this kind of processor",
            hint="VDDK 9 needs an nbdkit that knows it.",
        )
    version = re.search(r"\.so\.(\d+(?:\.\d+)*)$", told.get("vddk_dll", ""))
    return Vixlib(nbdkit, libdir, int(major), version[1] if version else major)


def _require_library(libdir: str) -> None:
    if not os.path.isdir(libdir):
        raise DiskNotFound("vddk_libdir is no folder", path=libdir)
    for folder in (os.path.join(libdir, "lib64"), libdir):
        if os.path.isdir(folder) and any(name.startswith(LIBRARY) for name in os.listdir(folder)):
            return
    raise DiskNotFound(
        f"there is no lib64/{LIBRARY} in vddk_libdir",
        path=libdir,
        hint="It is the folder vmware-vix-disklib-distrib of the unpacked VDDK.",
    )


def _dump(nbdkit: str, libdir: str) -> dict[str, str]:
    argv = [nbdkit, "vddk", "--dump-plugin", f"libdir={libdir}"]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function # no Ansible down here
            argv, env=ENVIRONMENT, capture_output=True, timeout=_SECONDS, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingTool(f"nbdkit does not run: {error}", path=nbdkit) from None
    if done.returncode:
        raise MissingTool(
            "nbdkit has no plugin for VMware's library, or it does not work",
            path=nbdkit,
            found=" ".join(done.stderr.split())[-300:] or f"code {done.returncode}",
            hint="On Debian 13 and Ubuntu: apt-get install nbdkit-plugin-vddk. Debian 12 has none.",
        )
    lines = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, found, value in lines if found}


def mismatch(vixlib: Vixlib, vcenter: str) -> str | None:
    """A warning where VMware does not support this library with a vCenter of that version: it
    does from two major versions back to one ahead (VDDK 8.0 and 9.0 release notes)."""
    found = re.match(r"\d+", vcenter)
    if vixlib.major is None or found is None:
        return None
    ours, theirs = vixlib.major, int(found[0])
    if ours - 2 <= theirs <= ours + 1:
        return None
    return (
        f"VDDK {vixlib.version} is not made for vSphere {vcenter}, but for {ours - 2} to"
        f" {ours + 1}: take another one, or another transport, where disks cannot be read"
    )
