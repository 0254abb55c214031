# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Owner and rights of a file that takes another one's place."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

if t.TYPE_CHECKING:
    from ..._device.files import File


def keep_owner(new: File, old: os.stat_result) -> None:
    """Give `new` owner, group and mode of `old`, as far as we may.

    To be called before it has content. Where the group cannot be kept, another group must not
    get its rights.
    """
    mine = os.fstat(new.fileno())
    mode = stat.S_IMODE(old.st_mode)
    if (old.st_uid, old.st_gid) != (mine.st_uid, mine.st_gid):
        try:
            os.fchown(new.fileno(), old.st_uid, old.st_gid)
        except OSError:
            try:
                os.fchown(new.fileno(), -1, old.st_gid)
            except OSError:
                mode &= ~stat.S_IRWXG
    with contextlib.suppress(OSError):  # file systems without rights
        os.fchmod(new.fileno(), mode)
