# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`tree.py FOLDER`: copy the project, as it is on disk now, without what git ignores."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from environment import ROOT, stop


def copy_tree(folder: Path) -> list[str]:
    """Returns the names of the files."""
    git = ["git", "-c", f"safe.directory={ROOT}"]  # the clone may be another user's
    listing = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if result.returncode:
        stop(f"{ROOT} is not a git clone: which files belong to the project?")
    names = list(filter(None, result.stdout.decode().split("\0")))
    names = [name for name in names if os.path.lexists(ROOT / name)]  # not those being deleted
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return names


if __name__ == "__main__":
    copy_tree(Path(sys.argv[1]))
