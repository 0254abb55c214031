# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = """
name: vmdk_table
type: aggregate
short_description: One live table of all disks that are worked on
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Keeps the last lines of the terminal for a table while a playbook runs. It has a row for each
    machine or disk that a long module of this collection works on, with the proxy, how much of it
    is done, the rate and the time that is left. Its heading tells how many run, are done, and have
    failed; in a backup window also how many are left.
  - All else that Ansible prints goes on above the table. The lines of progress that would be there
    without it go to Ansible's log file only, if there is one.
  - It does nothing where standard output is no terminal, where E(TERM) is C(dumb) or missing, and
    under ansible-runner, so in AWX. The table goes when the playbook ends, also on Ctrl-C, and
    nothing is said only there.
  - It has no colours where E(NO_COLOR) or E(ANSIBLE_NOCOLOR) forbid them.
requirements:
  - Enable it in the configuration, C(callbacks_enabled = vdisk.lifecycle.vmdk_table), or by
    E(ANSIBLE_CALLBACKS_ENABLED).
"""

import atexit
import functools
import os
import select
import signal
import sys
import threading
import time
import typing as t

from ansible import constants
from ansible.plugins.callback import CallbackBase

from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_board import Board
from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_channel import Listener
from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_screen import Screen
from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_table import Look, table

if t.TYPE_CHECKING:
    from types import FrameType

    from ansible.executor.task_result import CallbackTaskResult

PAUSE = 0.25  # seconds between two pictures, at least
RUNNERS = ("AWX_ISOLATED_DATA_DIR", "AWX_HOST")  # set by ansible-runner, and by AWX


class CallbackModule(CallbackBase):
    """Listens to the action plugins, and draws what they tell."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "vdisk.lifecycle.vmdk_table"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._drawer = _Drawer() if _has_terminal() else None

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """A task has ended well on a host."""
        if self._drawer:
            self._drawer.ended(result, failed=False)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """It has not."""
        if self._drawer:
            self._drawer.ended(result, failed=True)

    v2_runner_on_unreachable = v2_runner_item_on_failed = v2_runner_on_failed
    v2_runner_item_on_ok = v2_runner_on_ok

    def v2_playbook_on_stats(self, stats: object) -> None:
        """The summary has the whole terminal."""
        if self._drawer:
            self._drawer.clear()


def _has_terminal() -> bool:
    if any(os.environ.get(name) for name in RUNNERS):  # their terminal is nobody's
        return False
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class _Drawer:
    """The table on the terminal, and that it goes from there however the playbook ends."""

    def __init__(self) -> None:
        self._board, self._listener = Board(), Listener()
        self._screen = Screen(sys.stdout.fileno(), sys.stdout.encoding)
        self._colours = not constants.config.get_config_value("ANSIBLE_NOCOLOR")
        self._lock = threading.RLock()  # a signal may come in the midst of a callback
        self._process, self._over = os.getpid(), False
        atexit.register(self._leave)
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            signal.signal(number, functools.partial(self._interrupted, before))
        threading.Thread(target=self._draw_on, daemon=True).start()

    def ended(self, result: CallbackTaskResult, *, failed: bool) -> None:
        """What its action plugin told came earlier."""
        with self._lock:
            self._listen()
            self._board.ended(result.host.get_name(), result.task._uuid, failed)

    def clear(self) -> None:
        """Until something runs again."""
        with self._lock:
            self._board.rows.clear()
            self._screen.leave()

    def _listen(self) -> None:
        for message in self._listener.heard():
            self._board.told(message)

    def _draw_on(self) -> None:
        while not self._over:
            select.select([self._listener], [], [], 2 * PAUSE)
            with self._lock:
                self._listen()
                self._draw()
            time.sleep(PAUSE)

    def _draw(self) -> None:
        if self._over or not (self._board.rows or self._screen.is_drawn):
            return
        size = self._screen.size
        self._screen.draw(table(self._board, Look(size.columns, size.lines, self._colours)), size)

    def _leave(self) -> None:
        """For good. The workers are copies of this process, and leave its terminal alone."""
        if os.getpid() != self._process:
            return
        with self._lock:
            if not self._over:
                self._over = True
                self._screen.leave()

    def _interrupted(self, before: t.Any, number: int, frame: FrameType | None) -> None:
        self._leave()
        signal.signal(number, before)
        os.kill(os.getpid(), number)
