# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run `ansible-test sanity` on every Python here from 3.10 on. Arguments are passed on.

ansible-test works only inside .../ansible_collections/vdisk/lifecycle, resolves symbolic links
before it looks, and keeps its virtual environments and downloads in the home directory. So it gets
a copy of the working tree and a home of its own, both in .venv/sanity.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

from environment import ROOT, VENV, locate, say, stop
from tree import copy_tree

ANSIBLE_TEST = next(VENV.glob("lib/python3*/site-packages/ansible_test"))
PLACE = VENV / "sanity"
HOME = PLACE / "home"
COPY = PLACE / "ansible_collections/vdisk/lifecycle"


def main() -> None:
    prepare_copy()
    prepare_home()
    pythons = {version: path for version in known_versions() if (path := locate(version))}
    say(f"ansible-test sanity on Python {', '.join(pythons)}")
    folders = [str(Path(path).parent) for path in pythons.values()]
    # Else a version manager's shims are found first, and one that does not run ends the whole test.
    others = [folder for folder in os.get_exec_path() if "shims" not in folder]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(VENV / "bin"), *folders, *others]),
        "HOME": str(HOME),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": "",
        "ANSIBLE_CONFIG": "",
    }
    command = [str(VENV / "bin/ansible-test"), "sanity", "--truncate", "0", *sys.argv[1:]]
    codes = [
        subprocess.run(
            [*command, *part], cwd=COPY, env=environment, stdin=subprocess.DEVNULL, check=False
        ).returncode
        for part in parts(list(pythons))
    ]
    verdict = "FAILED" if any(codes) else "passed"
    say(f"sanity {verdict} on Python {', '.join(pythons)}, without an ignore file")
    raise SystemExit(max(codes))


def parts(versions: list[str]) -> list[list[str]]:
    """All on each Python. A build tries the ends only where one Python is as good as the next: what
    compiles, and is imported, on the oldest and on the newest is so on those between them."""
    if not os.environ.get("CI") or sys.argv[1:]:
        return [[]]
    each = ("compile", "import")
    skipped = [word for name in each for word in ("--skip-test", name)]
    only = [word for name in each for word in ("--test", name)]
    return [skipped, *([*only, "--python", version] for version in (versions[0], versions[-1]))]


def prepare_copy() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    ignores = [name for name in copy_tree(COPY) if name.startswith("tests/sanity/ignore")]
    if ignores:
        stop(f"this collection needs no sanity ignore files: remove {', '.join(ignores)}")
    # Without a repository of its own, the outer one would tell it that .venv is to be ignored.
    subprocess.run(["git", "init", "--quiet", str(COPY)], check=True)


def prepare_home() -> None:
    """With our get-pip in its cache, and this machine's pip settings (mirror, certificates)."""
    cache = HOME / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in pip_versions():
        shutil.copyfile(
            ROOT / "tests/tools/get_pip.py", cache / f"get_pip_{version.replace('.', '_')}.py"
        )
    pip = [str(VENV / "bin/python"), "-m", "pip", "config", "list"]
    settings = {"quiet": "1"}
    for line in subprocess.run(pip, capture_output=True, text=True, check=True).stdout.splitlines():
        name, value = line.split("=", 1)  # for instance global.index-url='https://…'
        option = name.rpartition(".")[2]
        settings.setdefault(
            option, " ".join(ast.literal_eval(value).split())
        )  # variables come first
    config = ["[global]", *(f"{option} = {value}" for option, value in settings.items())]
    (HOME / ".config/pip").mkdir(parents=True, exist_ok=True)
    (HOME / ".config/pip/pip.conf").write_text("\n".join(config) + "\n")


def ask_ansible_test(expression: str) -> list[str]:
    """From its own tables: they change with each release, and so does what we prepare."""
    code = (
        "from ansible_test._internal import constants, python_requirements as r; "
        "from ansible_test._internal.host_configs import NativePythonConfig as P; "
        f"print(*sorted({expression}))"
    )
    command = [str(VENV / "bin/python"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def known_versions() -> list[str]:
    versions = ask_ansible_test("constants.SUPPORTED_PYTHON_VERSIONS")
    return sorted(
        (v for v in versions if int(v.split(".")[1]) >= 10), key=lambda v: int(v.split(".")[1])
    )


def pip_versions() -> list[str]:
    packages = "r.get_venv_packages(P(version=v, path=''))"
    return ask_ansible_test(f"{{{packages}['pip'] for v in constants.SUPPORTED_PYTHON_VERSIONS}}")


if __name__ == "__main__":
    main()
