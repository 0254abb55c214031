# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make .venv/: a private Python with all that our tools need, and the system packages beside it.

Run by every target of the Makefile, so a second run has to cost nothing: it compares one stamp and
ends. Runs on whatever `python3` the machine has (3.8 or later), with the standard library only.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import io
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / ".ready"
PYTHON_STAMP = VENV / ".python-ready"
LOCK = ROOT / "requirements-dev.txt"
BINDEP = ROOT / "bindep.txt"
TOOLS = ROOT / ".tools"  # a fetched uv and the Python it fetched: outlives .venv
LINK = VENV / "collections" / "ansible_collections" / "vdisk" / "lifecycle"

VERSIONS = ("3.13", "3.12", "3.14")  # in this order; the lock file holds for all three
# A version manager's shim may be on PATH and not run; a distribution may leave out venv: try it.
PROOF = (
    "import ssl, venv, ensurepip, ctypes, sqlite3, lzma, sys; print('%d.%d' % sys.version_info[:2])"
)


def main() -> None:
    os.environ["LC_ALL"] = "C.UTF-8"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that pip ends with us
    here = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(here, fcntl.LOCK_EX)  # two makes at once: the second waits, then finds all done
    python_key = digest(
        LOCK.read_bytes(), str(ROOT).encode()
    )  # a virtual environment cannot be moved
    key = digest(python_key.encode(), BINDEP.read_bytes(), Path(__file__).read_bytes())
    if read(STAMP) == key and (VENV / "bin/python").exists() and LINK.is_dir():
        return
    started = time.monotonic()
    if read(PYTHON_STAMP) != python_key or not (VENV / "bin/python").exists():
        make_venv(find_python())
        PYTHON_STAMP.write_text(python_key)
    link_collection()
    install_system_packages()
    STAMP.write_text(key)
    say(f"ready in {time.monotonic() - started:.0f} s: {VENV}")


def path_without_venv() -> str:
    """The Makefile puts .venv first on PATH, but it is what we may have to make anew.

    Even a version manager's shim would find its Python there, for just as long as it exists.
    """
    folders = [folder for folder in os.get_exec_path() if not folder.startswith(str(VENV))]
    return os.pathsep.join(folders)


def make_venv(python: str) -> None:
    say(f"making .venv with {python}")
    shutil.rmtree(VENV, ignore_errors=True)  # no stamp: half built, or for another lock file
    must([python, "-m", "venv", str(VENV)], "could not make the virtual environment")
    say(f"installing {LOCK.name} (about a minute)")
    pip = [str(VENV / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    must(
        [*pip, "install", "--quiet", "--no-deps", "-r", str(LOCK)],
        "pip could not install the locked requirements",
    )


def link_collection() -> None:
    LINK.parent.mkdir(parents=True, exist_ok=True)
    if LINK.is_symlink():
        LINK.unlink()
    LINK.symlink_to("../../../..")


# ---------------------------------------------------------------- a Python that runs


def find_python() -> str:
    chosen = os.environ.get("VDISK_PYTHON")
    if chosen:
        if version_of(chosen) not in VERSIONS:
            stop(f"VDISK_PYTHON={chosen} does not run, or is none of {', '.join(VERSIONS)}.")
        return chosen
    found = installed_python() or (python_from_apt() and installed_python()) or python_from_uv()
    if not found:
        stop(
            f"no usable Python {' / '.join(VERSIONS)}: none on PATH or under pyenv, none from apt, "
            "and uv could not fetch one.\nInstall one with its venv module (Debian: python3.13 "
            "python3.13-venv), or set VDISK_PYTHON to its path, and run make again."
        )
    return found


def installed_python() -> str | None:
    return next(filter(None, map(locate, VERSIONS)), None)


def locate(version: str) -> str | None:
    """Path of a Python of that version which really runs (sanity.py asks for older ones too)."""
    folders = path_without_venv().split(os.pathsep)
    places = [os.path.join(folder, f"python{version}") for folder in folders]
    pyenv = {os.environ.get("PYENV_ROOT") or "", os.path.expanduser("~/.pyenv")} - {""}
    for root in sorted(pyenv):
        places += sorted(glob.glob(f"{root}/versions/{version}*/bin/python{version}"), reverse=True)
    places += glob.glob(f"{TOOLS}/python/cpython-{version}*/bin/python{version}")
    for place in places:
        if os.access(place, os.X_OK) and version_of(place) == version:
            return place
    return None


def version_of(python: str) -> str | None:
    try:
        result = run([python, "-c", PROOF])
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def python_from_apt() -> bool:
    """The distribution's own, where new enough: Debian 13, Ubuntu 24.04 (both without venv)."""
    prefix = root_prefix()
    if prefix is None or not shutil.which("apt-get"):
        return False
    apt_update(prefix)
    for version in VERSIONS:
        if apt_knows(f"python{version}-venv"):
            say(f"installing python{version}-venv with apt-get")
            return run([*prefix, *apt_install(), f"python{version}-venv"]).returncode == 0
    return False


def python_from_uv() -> str | None:
    uv = shutil.which("uv") or uv_by_pip() or uv_by_hand()
    if not uv:
        return None
    say(f"fetching Python {VERSIONS[0]} with {uv}")
    result = run([uv, "python", "install", "--no-bin", "-i", str(TOOLS / "python"), VERSIONS[0]])
    if result.returncode:
        say("uv: " + result.stdout.strip().replace("\n", "\n      "))
    return installed_python()


def uv_by_pip() -> str | None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    run([*pip, "--target", str(TOOLS), uv_pin()])
    uv = TOOLS / "bin/uv"
    return str(uv) if uv.exists() else None


def uv_by_hand() -> str | None:
    """Debian's python3 comes without pip: read the package index, unpack the one file we want."""
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    name = rf"uv-{re.escape(uv_pin()[4:])}-[^/]*{libc}[^/]*_{platform.machine()}\.whl"
    try:
        page = fetch(f"{index}/uv/").decode()
        wheel = re.search(rf'href="([^"]*{name})#sha256=([0-9a-f]{{64}})', page)
        if wheel is None:
            raise ValueError(f"no {name} there")
        content = fetch(urllib.parse.urljoin(f"{index}/uv/", wheel[1]))
    except (OSError, ValueError) as error:
        say(f"uv is not to be had from {index}: {error}")
        return None
    if hashlib.sha256(content).hexdigest() != wheel[2]:
        stop(f"{wheel[1]} is damaged: its SHA-256 is not the index's.")
    uv = TOOLS / "bin/uv"
    uv.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        uv.write_bytes(archive.read(inside))
    uv.chmod(0o755)
    return str(uv)


def uv_pin() -> str:
    return next(
        line.split()[0] for line in LOCK.read_text().splitlines() if line.startswith("uv==")
    )


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        return bytes(answer.read())


# ---------------------------------------------------------------- system packages


def install_system_packages() -> None:
    missing = missing_packages()
    if not missing:
        return
    prefix = root_prefix()
    if prefix is None or not shutil.which("apt-get"):
        stop(
            "system packages are missing, and this user may not install them. "
            "Run this, then make again:\n\n  sudo apt-get update && "
            f"sudo apt-get install -y --no-install-recommends {' '.join(missing)}\n"
        )
    say(f"installing system packages: {' '.join(missing)}")
    apt_update(prefix)
    known = [name for name in missing if apt_knows(name)]
    if known != missing:
        unknown = sorted(set(missing) - set(known))
        say(f"not in this release, so we do without: {' '.join(unknown)}")
    if known:
        must([*prefix, *apt_install(), *known], "apt-get could not install the system packages")


def missing_packages() -> list[str]:
    command = [str(VENV / "bin/bindep"), "--brief", "--file", str(BINDEP), "test"]
    result = run(command)
    if result.returncode not in (0, 1) or "Traceback" in result.stdout:
        stop(f"bindep failed:\n{result.stdout}")
    return result.stdout.split() if result.returncode else []


def root_prefix() -> list[str] | None:
    """What to put before a command so that root runs it; None when we may not."""
    # RUNLEVEL: invoke-rc.d starts no server of what is installed; the tests start their own.
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "RUNLEVEL=1"]
    if os.geteuid() == 0:
        return environment
    if shutil.which("sudo") and run(["sudo", "-n", "true"]).returncode == 0:
        return ["sudo", "-n", *environment]
    return None


def apt_update(prefix: list[str]) -> None:
    result = run([*prefix, "apt-get", "update", "-q"])
    if result.returncode:  # stale lists often still do; the installation will tell
        say(f"apt-get update failed, going on with the lists at hand:\n{result.stdout[-600:]}")


def apt_knows(package: str) -> bool:
    return "Package:" in run(["apt-cache", "show", package]).stdout


def apt_install() -> list[str]:
    options = ["-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"]
    return ["apt-get", "install", "-y", "-q", "--no-install-recommends", *options]


# ---------------------------------------------------------------- small helpers


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run without a terminal, and keep all output for the case that it fails."""
    pipe, merged, silent = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
    environment = {**os.environ, "PATH": path_without_venv()}
    return subprocess.run(
        command, stdin=silent, stdout=pipe, stderr=merged, env=environment, text=True, check=False
    )


def must(command: list[str], failure: str) -> None:
    result = run(command)
    if result.returncode:
        stop(f"{failure}: {' '.join(command)}\n{result.stdout[-3000:]}")


def say(message: str) -> None:
    print(f"env: {message}", file=sys.stderr, flush=True)


def stop(message: str) -> None:
    say(message)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
