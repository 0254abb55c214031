# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a long module in the background and shows how far it is.

Ansible has no progress inside a task. So the module is started with Ansible's own async wrapper and
keeps a small file up to date (module_utils/_device/progress.py); this plugin reads that file over
the connection and prints a line now and then. It is the same for ansible-playbook, navigator,
runner and AWX, and for remote hosts.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import shlex
import signal
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_channel import tell
from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_line import (
    Throttle,
    progress_line,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

FIRST_POLL_SECONDS, POLL_SECONDS = 0.1, 1.0  # short jobs should not wait for their end
START_SECONDS = 120.0  # how long a module may take to say that it is there
GRACE_SECONDS = 15.0  # how long its result may take once its process is gone
AWAY_SECONDS = 300.0  # how long its host may be out of reach
VARIABLE = "VDISK_PROGRESS_FILE"  # as in module_utils/_module.py
TIME_LIMIT = 14 * 24 * 3600  # the async wrapper wants one
# What the async wrapper adds to the module's own result.
_ASYNC_KEYS = ("ansible_job_id", "started", "finished", "results_file")

# A shell word: the process that a progress file speaks of.
_PID_OF = "$(sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p' {file})"

display = Display()
Result = dict[str, t.Any]


class _Seen(t.NamedTuple):
    """One look at a running job."""

    progress: Result  # what the module said last; empty before it said anything
    finished: bool
    alive: bool


class ProgressAction(ActionBase):
    """Base of the action plugins of the long modules; those add nothing but their name."""

    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    def takes_long(self) -> bool:
        """Whether these options ask for something that does."""
        return True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Run the module; a user's own `async:` is passed straight through."""
        variables = task_vars or {}
        result: Result = super().run(tmp, variables)
        if self._task.async_val or self._task.check_mode or not self.takes_long():
            wrap = bool(self._task.async_val)
            return {**result, **self._execute_module(task_vars=variables, wrap_async=wrap)}
        try:
            return {**result, **self._run_in_background(variables)}
        finally:
            self._task.async_val = 0  # else Ansible would poll again by itself
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _run_in_background(self, variables: Result) -> Result:
        shell = self._connection._shell
        if not shell.tmpdir:
            self._make_tmp_path()
        progress_file = shell.join_path(shell.tmpdir, "progress.json")
        self._task.environment = [*(self._task.environment or []), {VARIABLE: progress_file}]
        self._task.async_val = TIME_LIMIT
        with self._stopped_with_us(progress_file):
            started: Result = self._execute_module(task_vars=variables, wrap_async=True)
            if "ansible_job_id" not in started:  # it failed before it began
                return started
            host = str(variables["inventory_hostname"])
            self._watch(progress_file, started["results_file"], host)
        return self._collect(started, variables)

    @contextlib.contextmanager
    def _stopped_with_us(self, progress_file: str) -> Iterator[None]:
        """Ctrl-C and AWX's cancel end the job too. Ansible would only end the one who watches."""

        def stop(number: int, frame: FrameType | None) -> None:
            self._end_job(progress_file)
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        except BaseException:  # such as the task's own timeout
            self._end_job(progress_file)
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end_job(self, progress_file: str) -> None:
        """One that has not said its number yet finds the folder gone, and does not begin."""
        folder = posixpath.dirname(progress_file)
        there, away = shlex.quote(folder), shlex.quote(f"{folder}.over")
        pid = _PID_OF.format(file=f"{away}/progress.json {there}/progress.json")
        script = f"mv {there} {away}; kill -TERM {pid}; rm -rf {away}"
        with contextlib.suppress(AnsibleConnectionFailure):  # nobody reaches it there
            self._low_level_execute_command(f"( {script} ) 2>/dev/null")

    def _watch(self, progress_file: str, results_file: str, host: str) -> None:
        """Print lines until the job has left its result, or is gone without one."""
        throttle, pause, give_up = Throttle(), FIRST_POLL_SECONDS, time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            seen = self._look_again(progress_file, results_file)
            if seen.finished:
                return
            if not self._task.no_log:
                self._show(host, seen.progress, throttle)
            if seen.alive:
                give_up = time.monotonic() + GRACE_SECONDS
            time.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS)

    def _show(self, host: str, progress: Result, throttle: Throttle) -> None:
        """A line; only for Ansible's log where a callback has a table of all jobs."""
        proxy = self._task.delegate_to or host
        row = {"host": host, "proxy": proxy, "uuid": self._task._uuid, "task": self._task.name}
        drawn = tell({**progress, **row})
        if progress and throttle.due(progress):
            where = host if proxy == host else f"{host} -> {proxy}"
            display.display(f"{where}: {progress_line(progress)}", log_only=drawn)

    def _look_again(self, progress_file: str, results_file: str) -> _Seen:
        """As Ansible's own polling does, take no network that is away for a moment for the end."""
        end = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return self._look(progress_file, results_file)
            except AnsibleConnectionFailure:
                if time.monotonic() > end:
                    raise
            time.sleep(POLL_SECONDS)

    def _look(self, progress_file: str, results_file: str) -> _Seen:
        """Both files, and whether the module's process lives, by one command."""
        progress, results = shlex.quote(progress_file), shlex.quote(results_file)
        pid = _PID_OF.format(file=progress)
        script = f"cat {progress}; echo; cat {results}; echo; kill -0 {pid} && echo alive"
        answer = self._low_level_execute_command(f"( {script} ) 2>/dev/null")
        lines = [line for line in answer.get("stdout_lines", []) if line.strip()]
        documents = [_parse(line) for line in lines if line.startswith("{")]
        facts = next((document for document in documents if "pid" in document), {})
        states = [document for document in documents if "pid" not in document]
        finished = any("started" not in state or state.get("finished") for state in states)
        return _Seen(facts, finished, "alive" in lines)

    def _collect(self, started: Result, variables: Result) -> Result:
        """The module's own result."""
        self._task.async_val = 0
        result: Result = self._async_status(started, "status", variables)
        if not result.get("finished"):
            return {
                "failed": True,
                "msg": "The job vanished from the host without a result: it was killed, or the "
                "host was restarted. Run the task again: it cleans up and starts over.",
            }
        self._async_status(started, "cleanup", variables)
        return {key: value for key, value in result.items() if key not in _ASYNC_KEYS}

    def _async_status(self, started: Result, mode: str, variables: Result) -> Result:
        # Where the wrapper put it: HOME may be another folder than that of the account.
        folder = posixpath.dirname(started["results_file"])
        result: Result = self._execute_module(
            module_name="ansible.legacy.async_status",
            module_args={"jid": started["ansible_job_id"], "mode": mode, "_async_dir": folder},
            task_vars=variables,
        )
        return result


def _parse(line: str) -> Result:
    try:
        document: Result = json.loads(line)
    except ValueError:  # caught while it was being written
        return {"started": True}
    return document
