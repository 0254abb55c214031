# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs, and what came of what has ended."""

from __future__ import annotations

import dataclasses
import typing as t

Row = dict[str, t.Any]


@dataclasses.dataclass
class Board:
    """`rows` of running jobs, by host and task. In a backup window of `machines`, `turns` says
    of each that had one, by its id, whether the last one went well."""

    rows: dict[tuple[str, str], Row] = dataclasses.field(default_factory=dict)
    done: int = 0
    failed: int = 0
    machines: int = 0
    turns: dict[str, bool] = dataclasses.field(default_factory=dict)

    def told(self, message: Row) -> None:
        """What an action plugin says: of a window, of a turn in it, or how far a job is."""
        if "machines" in message:
            self.machines, self.turns = message["machines"], {}
        elif "vm" in message:
            self.turns[message["vm"]] = message["ok"]
        else:
            self.rows[message["host"], message["uuid"]] = message

    def ended(self, host: str, uuid: str, failed: bool) -> None:
        """A task has ended on a host, or one item of its loop."""
        if self.rows.pop((host, uuid), None) is None:
            return
        if failed:
            self.failed += 1
        else:
            self.done += 1
