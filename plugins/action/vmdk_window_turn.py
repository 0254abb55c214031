# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module of the same name, and tells the table of the callback vmdk_table of it."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_channel import tell

Result = dict[str, t.Any]


class ActionModule(ActionBase):
    """Runs vmdk_window_turn."""

    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """As any module is run."""
        result: Result = super().run(tmp, task_vars)
        wrap = bool(self._task.async_val)
        result = {**result, **self._execute_module(task_vars=task_vars, wrap_async=wrap)}
        if not (wrap or self._task.check_mode or result.get("failed")):
            _tell(self._task.args)
        if not wrap:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result


def _tell(options: Result) -> None:
    plan, outcome = options.get("plan"), options.get("outcome")
    if options.get("state") == "opened" and isinstance(plan, dict):
        tell({"machines": len(plan.get("slots", []))})
    elif options.get("vm") and isinstance(outcome, dict):
        tell({"vm": options["vm"], "ok": bool(outcome.get("ok"))})
