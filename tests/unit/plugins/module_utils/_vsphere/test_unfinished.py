# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of a machine that a restore works on."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
    is_alive,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.unfinished import (
    OPTION,
    UNREADABLE,
    Mark,
    is_known,
    mark_of,
    no_mark,
)

option = pytest.importorskip("pyVmomi").vim.option.OptionValue


def test_a_mark_is_read_as_it_was_set():
    mark = Mark("run", "host", "point", made=True, disks=("scsi0:0",), tracking=True)

    assert mark_of([option(key="other", value="x"), mark.option()]) == mark


def test_what_newer_versions_say_besides_is_passed_over():
    mark = Mark("run", "host", "point", made=True, disks=("scsi0:0",))
    newer = json.dumps({**json.loads(mark.option().value), "colour": "red"})

    assert mark_of([option(key=OPTION, value=newer)]) == mark


@pytest.mark.parametrize("value", ["{", "[]", '{"run": "r"}', '{"disks": []}', "null"], ids=repr)
def test_what_cannot_be_read_is_the_mark_of_somebody(value, tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path))
    mark = mark_of([option(key=OPTION, value=value)])

    assert mark == UNREADABLE
    assert not is_known(mark)


def test_nothing_is_no_mark():
    assert mark_of([option(key=OPTION, value="")]) is None


def test_no_mark_takes_it_away():
    assert mark_of([no_mark()]) is None
    assert mark_of(None) is None


def test_a_run_lives_while_it_holds_its_journal(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path))
    with Journal.begin("a restore") as journal:
        journal.note("machine")
        assert is_alive(journal.run)
    assert not is_alive(journal.run)
    assert not is_alive("20260101T000000-00000000")
