# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the callback does nothing."""

from __future__ import annotations

import signal
import threading

import pytest

from ansible_collections.vdisk.lifecycle.plugins.callback import vmdk_table

TERMINAL = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("tty", "environment", "draws"),
    [
        (True, TERMINAL, True),
        (False, TERMINAL, False),
        (True, {}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {**TERMINAL, "AWX_ISOLATED_DATA_DIR": "/runner/artifacts/1"}, False),
        (True, {**TERMINAL, "AWX_HOST": "https://awx.example.com"}, False),
    ],
)
def test_where_it_draws(monkeypatch, tty, environment, draws):
    for name in ("TERM", *vmdk_table.RUNNERS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty, raising=False)
    assert vmdk_table._has_terminal() == draws


def test_without_a_terminal_it_takes_no_signal_and_no_thread(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    before = signal.getsignal(signal.SIGINT), threading.active_count()
    vmdk_table.CallbackModule().v2_playbook_on_stats(None)
    assert (signal.getsignal(signal.SIGINT), threading.active_count()) == before
