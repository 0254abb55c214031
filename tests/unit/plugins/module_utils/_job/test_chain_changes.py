# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens to a chain between two backups, each restore point is its content then."""

from __future__ import annotations

import mmap
import os
import shutil
import time

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job import (
    backup_disk,
    chain_changes,
    identify_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.backup_disk import (
    BackupRequest,
    plan_backup,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write import (
    disk as disk_writing,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening import state
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import (
    create_child,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.chain import (
    CHUNK,
    GRAIN,
    SIZE,
    TICK,
    Chain,
    settle,
)


@pytest.fixture(autouse=True)
def short_wait(monkeypatch):
    monkeypatch.setattr(state, "SETTLED", TICK)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write"] * 4
            + ["back_up"] * 5
            + ["wait"] * 4
            + ["snapshot"] * 2
            + ["commit", "revert", "drop", "poke", "touch", "replace"]
        ),
        st.integers(0, SIZE - 1),
        st.integers(1, 3 * GRAIN),
        st.booleans(),
    ),
    min_size=4,
    max_size=16,
)


@settings(max_examples=12, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(STEPS)
def test_any_history_of_a_chain(tmp_path_factory, steps):
    chain = Chain(tmp_path_factory.mktemp("chain"))
    for step, *arguments in [*steps, ("back_up", 1, 0, False)]:
        getattr(chain, step)(*arguments)
    chain.check()
    shutil.rmtree(chain.folder)


@pytest.fixture
def chain(tmp_path):
    """Backed up at rest."""
    chain = Chain(tmp_path)
    settle()
    chain.back_up(1)
    return chain


def last(chain):
    return chain.methods[-1]


def test_an_unchanged_disk_is_not_read(chain):
    chain.back_up(1)
    assert last(chain) == "changed"
    chain.check()


def test_a_snapshot_tells_what_changed(chain):
    chain.snapshot()
    chain.write(5 * GRAIN + 7, 100, False)
    chain.back_up(1)
    assert last(chain) == "changed"
    repository = chain.access.open_repository()
    entry = repository.find(chain.points[-1][0]).point.disks[0]
    assert entry.bytes_read == CHUNK
    chain.check()


def test_several_redo_logs_since(chain):
    for offset in (0, 9, 30):
        chain.snapshot()
        chain.write(offset * GRAIN, GRAIN, bool(offset))
    chain.back_up(1)
    assert last(chain) == "changed"
    chain.check()


def test_a_linked_clone_begins_with_what_its_parent_was(chain):
    clone = os.path.join(chain.folder, "clone", "db01.vmdk")
    os.mkdir(os.path.dirname(clone))
    create_child(chain.links[0], clone, allow_outside=(chain.folder,))
    with open_disk(clone, writable=True, allow_outside=(chain.folder,)) as disk:
        disk.write(GRAIN, b"clone" * 100)
    access = Access(repository=chain.repository, allow_outside=(chain.folder,))
    made = plan_backup(BackupRequest(path=clone, access=access)).run(False)["restore_point"]
    assert made["disks"][0]["method"] == "changed"
    expected = bytearray(chain.model[0])
    expected[GRAIN : GRAIN + 500] = b"clone" * 100
    repository = access.open_repository()
    with repository.open_disk(repository.find(made["id"]).point) as device:
        assert read(device, 0, SIZE) == expected


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda chain: chain.write(0, 5, False), id="a write"),
        pytest.param(lambda chain: chain.poke(0, 5, False), id="a write, and mtime set back"),
        pytest.param(lambda chain: chain.touch(), id="touch"),
        pytest.param(lambda chain: chain.replace(), id="replaced by a copy"),
    ],
)
def test_any_doubt_is_a_full_scan(chain, harm):
    harm(chain)
    chain.back_up(1)
    assert last(chain) == "incremental"
    repository = chain.access.open_repository()
    assert "no point knows" in repository.find(chain.points[-1][0]).point.disks[0].reason
    chain.check()


def test_a_parent_changed_behind_an_unchanged_child(chain):
    chain.snapshot()
    settle()
    chain.back_up(1)
    chain.poke(7 * GRAIN, 10, False)
    chain.back_up(1)
    assert last(chain) == "incremental"
    chain.check()


def test_a_reverted_redo_log_is_not_taken_for_the_one_that_was_backed_up(chain):
    chain.snapshot()
    chain.write(0, GRAIN, False)
    settle()
    chain.back_up(1)
    chain.revert()
    settle()
    chain.back_up(1)
    assert last(chain) == "changed"  # since the parent was backed up: nothing
    chain.check()


def test_a_commit_is_noticed(chain):
    chain.snapshot()
    chain.write(0, GRAIN, False)
    settle()
    chain.back_up(1)
    chain.commit()
    chain.back_up(1)
    assert last(chain) == "incremental"
    chain.check()


def test_files_written_a_moment_ago_are_not_relied_on(chain, monkeypatch):
    chain.write(0, 5, False)
    monkeypatch.setattr(state, "SETTLED", 10**12)  # however slow this machine is
    chain.back_up(1)  # may have missed a write of the same tick
    monkeypatch.setattr(state, "SETTLED", TICK)
    settle()
    chain.back_up(1)
    assert chain.methods[-2:] == ["incremental", "incremental"]
    chain.back_up(1)
    assert last(chain) == "changed"


def test_files_of_the_future_are_not_relied_on(chain):
    os.utime(chain.links[0], (time.time() + 9999,) * 2)
    chain.back_up(1)
    chain.back_up(1)
    assert chain.methods[-2:] == ["incremental", "incremental"]


def test_a_write_during_the_backup_is_told_and_nothing_relies_on_it(chain, monkeypatch):
    chain.poke(0, 1, False)
    settle()
    scan = disk_writing.scan

    def slow(*arguments, **more):
        yield from scan(*arguments, **more)
        chain.poke(SIZE - 1, 1, False)

    monkeypatch.setattr(disk_writing, "scan", slow)
    result = plan_backup(BackupRequest(path=chain.links[0], access=chain.access, name="torn")).run(
        False
    )
    assert "while it was read" in result["warnings"][0]
    monkeypatch.setattr(disk_writing, "scan", scan)
    settle()
    chain.back_up(1)
    assert last(chain) == "incremental"


@pytest.mark.parametrize(
    ("options", "method"), [({"changes": "scan"}, "incremental"), ({"mode": "full"}, "full")]
)
def test_nothing_is_relied_on_where_it_shall_not_be(chain, options, method):
    request = BackupRequest(path=chain.links[0], access=chain.access, name="x", **options)
    disk = plan_backup(request).run(False)["restore_point"]["disks"][0]
    assert disk["method"] == method
    assert disk["bytes_read"] == SIZE


def test_check_mode_and_the_backup_agree_without_reading(chain):
    request = BackupRequest(path=chain.links[0], access=chain.access)
    assert not plan_backup(request).run(True)["changed"]
    assert not plan_backup(request).run(False)["changed"]
    chain.snapshot()
    chain.write(0, 1, False)
    request = BackupRequest(path=chain.links[-1], access=chain.access)
    assert plan_backup(request).run(True)["changed"]
    assert plan_backup(request).run(False)["changed"]
    assert not plan_backup(request).run(True)["changed"]


def test_another_host_with_the_same_files_is_not_believed(chain, monkeypatch):
    for module in (backup_disk, identify_disk):
        monkeypatch.setattr(module, "this_host", lambda: ("other", "0" * 32))
    chain.back_up(1)
    assert last(chain) == "full"


def test_times_of_before_a_reboot_are_not_relied_on(chain, monkeypatch):
    monkeypatch.setattr(backup_disk, "_this_boot", lambda: "another")
    chain.back_up(1)
    assert last(chain) == "incremental"


def test_a_write_through_a_mapping_is_noticed(chain):
    """The second write to a page changes no time, unless the file was flushed in between."""
    flat = chain.links[0].replace(".vmdk", "-flat.vmdk")
    with open(flat, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        mapped[9] ^= 1
        chain.model[0][9] ^= 1
        settle()
        chain.back_up(1)
        mapped[9] ^= 1
        chain.model[0][9] ^= 1
        settle()
        chain.back_up(1)
    chain.check()


def test_a_write_while_the_disk_is_being_opened_is_not_relied_on(chain, monkeypatch):
    """Its tables were read before, so what is read through them may be old."""
    opened = Access.open

    def slow(self, text, **more):
        disk = opened(self, text, **more)
        chain.touch()
        settle()
        return disk

    monkeypatch.setattr(Access, "open", slow)
    chain.back_up(1)
    monkeypatch.setattr(Access, "open", opened)
    chain.back_up(1)
    assert chain.methods[-2:] == ["incremental", "incremental"]


def test_the_self_check_finds_what_the_times_hide(chain, monkeypatch):
    """As on a file system that keeps no time of change."""
    frozen = {}
    look = chain_changes.files_state
    monkeypatch.setattr(
        chain_changes, "files_state", lambda link: frozen.setdefault(link.path, look(link))
    )
    chain.back_up(1)
    chain.poke(7 * GRAIN, 10, False)
    request = BackupRequest(path=chain.links[0], access=chain.access, name="checked")
    result = plan_backup(request).run(False)
    assert "everything was read" in result["warnings"][0]
    chain.points.append((result["restore_point"]["id"], bytes(chain.content)))
    chain.check()


def test_check_mode_of_a_full_backup_reads_everything(chain, monkeypatch):
    """As the backup would: the times are no proof for it."""
    look = chain_changes.files_state
    frozen = {}
    monkeypatch.setattr(
        chain_changes, "files_state", lambda link: frozen.setdefault(link.path, look(link))
    )
    chain.back_up(1)
    chain.poke(7 * GRAIN, 10, False)
    request = BackupRequest(path=chain.links[0], access=chain.access, mode="full")
    assert plan_backup(request).run(True)["changed"]
    assert plan_backup(request).run(False)["changed"]
