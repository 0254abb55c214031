# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the action plugins to a callback: how far each running job is.

Ansible gives callbacks the results of tasks, and nothing while one runs. Rather than change how
Ansible does that, the callback opens a pipe when it is loaded. The workers, in which the action
plugins run, are forked later and so have the other end. Where no callback listens nothing is sent.
"""

from __future__ import annotations

import json
import os
import typing as t

LONGEST = 4000  # bytes: a pipe does not mix shorter messages

Message = dict[str, t.Any]
_ends: list[int] = []


class Listener:
    """Hears what `tell` says in this process and in those forked from it later."""

    def __init__(self) -> None:
        _ends[:] = os.pipe()
        for end in _ends:
            os.set_blocking(end, False)
        self._end, self._rest = _ends[0], b""

    def fileno(self) -> int:
        """To wait for."""
        return self._end

    def heard(self) -> list[Message]:
        """All that was told since the last time."""
        try:
            self._rest += os.read(self._end, 1 << 20)
        except BlockingIOError:
            return []
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]


def tell(message: Message) -> bool:
    """Whether somebody listens, and hears it."""
    line = json.dumps(message).encode() + b"\n"
    if not _ends or len(line) > LONGEST:
        return False
    try:
        os.write(_ends[1], line)
    except OSError:  # the pipe is full: nobody reads any more
        return False
    return True
