# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Files beside a disk that are obeyed: nobody may have planted them who could not change the disk.

Whoever opens the disk does what they say, often as root.
"""

from __future__ import annotations

import os
import stat
import typing as t

from .errors import UnsafePath

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Obeyed(t.NamedTuple):
    """A kind of them: what is wrong with one that is not ours, and what to do if it is."""

    problem: str
    hint: str

    def require_ours(self, path: str, status: os.stat_result) -> None:
        """Raises UnsafePath where somebody else could have written it."""
        if not stat.S_ISREG(status.st_mode):
            raise self.refusal(path, "no plain file")
        owners = (0, os.geteuid(), os.stat(os.path.dirname(path)).st_uid)
        if status.st_uid not in owners or status.st_mode & _OTHERS_WRITE or status.st_nlink > 1:
            mode = stat.S_IMODE(status.st_mode)
            found = f"owner {status.st_uid}, mode {mode:04o}, {status.st_nlink} names"
            raise self.refusal(path, found)

    def refusal(self, path: str, found: str) -> UnsafePath:
        """The error to raise for one that is not ours."""
        return UnsafePath(
            self.problem,
            path=path,
            found=found,
            expected="a plain file of root, of this user or of the owner of the folder, "
            "which nobody else can write to",
            hint=self.hint,
        )
