# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines for the module of the same name."""

from __future__ import annotations

from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_action import ProgressAction


class ActionModule(ProgressAction):
    """Runs vmdk_create and shows how far it is."""

    def takes_long(self) -> bool:
        """Only where vSphere makes or grows the disk, perhaps writing zeros."""
        return str(self._task.args.get("path", "")).startswith("[")
