# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role backup_window hands on to modules, and what it takes for a slip of the pen."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROLE = pathlib.Path(__file__).parents[3] / "roles/backup_window"


@pytest.mark.parametrize(
    ("tasks", "used", "allowed"),
    [
        ("select.yml", "asked", "backup_window_selecting"),
        ("turn.yml", "how", "backup_window_backing"),
    ],
)
def test_an_option_is_allowed_exactly_if_it_is_handed_on(tasks, used, allowed):
    text = (ROLE / "tasks" / tasks).read_text(encoding="utf-8")
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    assert sorted(variables[allowed]) == sorted(set(re.findall(rf"\b{used}\.(\w+) \|", text)))
