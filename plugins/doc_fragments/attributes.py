# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module promises."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying
      target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in
      C(check_mode)), when in diff mode.
    support: full
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation
        indicates no change.
      - This assumes that nobody else changed the disk in between.
    support: full
  action_group:
    description: Use C(group/vdisk.lifecycle.vmdk) in C(module_defaults) to set defaults for this
      module.
    support: full
    membership:
      - vdisk.lifecycle.vmdk
"""

    INFO = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode); this module never changes anything.
    support: full
  diff_mode:
    description: This module changes nothing, so there is no difference to show.
    support: N/A
  idempotent:
    description: This module never changes anything.
    support: full
  action_group:
    description: Use C(group/vdisk.lifecycle.vmdk) in C(module_defaults) to set defaults for this
      module.
    support: full
    membership:
      - vdisk.lifecycle.vmdk
"""

    PROGRESS = r"""
attributes:
  action:
    description: An action plugin of the same name shows the progress while the task runs.
    support: full
  async:
    description: A user's own C(async) is passed straight through; progress lines are not shown
      then.
    support: full
"""
