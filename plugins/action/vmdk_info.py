# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines for the module of the same name."""

from __future__ import annotations

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_action import ProgressAction


class ActionModule(ProgressAction):
    """Runs vmdk_info and shows how far it is."""

    def takes_long(self) -> bool:
        """Only the digest does: it needs all of the content."""
        return boolean(self._task.args.get("digest", False), strict=False)
