# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible bundles each module once for each playbook, which takes a second, and tests run hundreds
of playbooks. So what it keeps for one becomes a link to a folder that all of a test run share
(tests/tools/bundled.sh). Ansible locks what it makes there."""

from __future__ import annotations

import os

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: shared_bundles
type: notification
short_description: Bundle each module once for all playbooks of a test run
description: Links the folder of bundles to the one that E(VDISK_BUNDLES) names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "shared_bundles"

    def __init__(self) -> None:
        super().__init__()
        own = os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
        os.symlink(os.environ["VDISK_BUNDLES"], own)
