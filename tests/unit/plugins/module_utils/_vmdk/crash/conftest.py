# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the crash tests share."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.judge import (
    Judge,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.recorder import (  # noqa: E501
    replay,
)


@pytest.fixture
def each_crash(tmp_path, request, record_property, small_split):
    """each_crash(operation): judged after every crash that the recorder makes of it."""

    def run(operation):
        whole = tmp_path / "whole"
        whole.mkdir()
        operation.prepare(whole)
        judge = Judge(operation, whole, tmp_path / "done")
        states = replay(whole, operation.run, judge, tmp_path, request.node.name)
        record_property("states", states)

    return run
