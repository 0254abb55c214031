# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of progress, and when it is time for the next."""

from __future__ import annotations

import time
import typing as t

from .progress_text import plain

QUIET_SECONDS = 2.0  # nothing is said about what is over in a moment
LINE_SECONDS = 5.0  # then a line at most this often,
LINE_PERCENT = 5.0  # unless this much more is done

Facts = dict[str, t.Any]


def progress_line(facts: Facts) -> str:
    """`web01 scsi0:0  37 %  4.1/11.0 GiB  412 MiB/s  eta 0:17`"""
    done, total, seconds = facts["done"], facts["total"], facts["seconds"]
    percent = min(100, 100 * done // total) if total else 100
    rate = done / seconds if seconds else 0.0
    scale, unit = _scale(total)
    parts = [
        plain(str(facts["label"])),
        f"{percent:3d} %",
        f"{done / scale:.1f}/{total / scale:.1f} {unit}",
        f"{rate / 2**20:.0f} MiB/s",
    ]
    if rate and done < total:
        parts.append(f"eta {clock((total - done) / rate)}")
    return "  ".join(parts)


def _scale(size: int) -> tuple[int, str]:
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB")):
        if size >= 1 << power:
            return 1 << power, unit
    return 1 << 10, "KiB"


def clock(seconds: float) -> str:
    """`0:17`, or `2:16:31`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Throttle:
    """Lets a line through when it says something new."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_time = clock() + QUIET_SECONDS - LINE_SECONDS
        self._quiet_until = clock() + QUIET_SECONDS
        self._last: tuple[object, float] = (None, 0.0)

    def due(self, facts: Facts) -> bool:
        """Whether these facts deserve a line now."""
        if not facts["label"]:  # it has not begun
            return False
        now = self._clock()
        percent = 100.0 * facts["done"] / facts["total"] if facts["total"] else 100.0
        label, last_percent = self._last
        if (facts["label"], percent) == self._last or now < self._quiet_until:
            return False
        moved = facts["label"] != label or percent - last_percent >= LINE_PERCENT
        if now - self._last_time < (1.0 if moved else LINE_SECONDS):
            return False
        self._last_time, self._last = now, (facts["label"], percent)
        return True
