# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of truth: disks under snapshots, reverts and removals against plain bytearrays.

Backups are judged by this simulator: what it says a disk held at an instant must be beyond doubt.
"""

from __future__ import annotations

import contextlib
import random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ansible_collections.vdisk.lifecycle.tests.examples import examples
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    areas,
    chain,
    change_id,
    client,
    snapshot,
    track,
    wait,
)

MIB = 1 << 20
SIZE = 16 * MIB


class Truth(RuleBasedStateMachine):
    """A machine with one disk; each snapshot remembers what the disk held."""

    here = None  # the client, for all examples of a run

    @initialize()
    def take_a_machine(self):
        self.vm = self.here.any_machine()
        track(self.vm)
        self.disk = bytearray(SIZE)
        self.snapshots = {}  # name: (snapshot, content, change id)
        self.number = 0

    @rule(seed=st.integers(0, 2**32), length=st.sampled_from([1, 512, 65536, 70000, 300000]))
    def guest_writes(self, seed, length):
        offset = random.Random(seed).randrange(SIZE - length)
        data = random.Random(seed + 1).randbytes(length)
        self.here.write(self.vm, offset, data)
        self.disk[offset : offset + length] = data

    @precondition(lambda self: len(self.snapshots) < 4)
    @rule()
    def snapshot(self):
        self.number += 1
        made = snapshot(self.vm, str(self.number))
        self.snapshots[self.number] = (made, bytes(self.disk), change_id(made))

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def remove(self, data):
        number = data.draw(st.sampled_from(sorted(self.snapshots)))
        wait(self.snapshots.pop(number)[0].RemoveSnapshot_Task(False))

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def remove_without_merging(self, data):
        number = data.draw(st.sampled_from(sorted(self.snapshots)))
        wait(self.snapshots.pop(number)[0].RemoveSnapshot_Task(False, False))

    @rule()
    def consolidate(self):
        wait(self.vm.ConsolidateVMDisks_Task())
        assert not self.vm.runtime.consolidationNeeded

    @precondition(lambda self: self.snapshots)
    @rule()
    def remove_all(self):
        wait(self.vm.RemoveAllSnapshots_Task())
        self.snapshots.clear()
        assert len(chain(self.vm)) == 1

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def revert(self, data):
        number = data.draw(st.sampled_from(sorted(self.snapshots)))
        wait(self.snapshots[number][0].RevertToSnapshot_Task())
        self.disk = bytearray(self.snapshots[number][1])
        wait(self.vm.PowerOnVM_Task())

    @rule()
    def guest_reads(self):
        assert self.here.read(self.vm) == self.disk

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def frozen_content(self, data):
        """Through an export: the way of a client without a proxy."""
        made, content, _id = self.snapshots[data.draw(st.sampled_from(sorted(self.snapshots)))]
        assert exported(self.here, made) == content

    @precondition(lambda self: len(self.snapshots) > 1)
    @rule(data=st.data())
    def increment(self, data):
        """The older content, with the changed areas of the newer, is the newer."""
        older, newer = sorted(
            data.draw(
                st.lists(
                    st.sampled_from(sorted(self.snapshots)), min_size=2, max_size=2, unique=True
                )
            )
        )
        _other, image, since = self.snapshots[older]
        made, content, now = self.snapshots[newer]
        if since.split("/")[0] != now.split("/")[0]:
            return  # a revert lies between them: test_behaviour_changes.py
        image = bytearray(image)
        for offset, length in areas(self.vm, made, since):
            image[offset : offset + length] = content[offset : offset + length]
        assert image == content

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def allocated(self, data):
        """What is not among the areas of "*" holds zeros."""
        made, content, _other = self.snapshots[data.draw(st.sampled_from(sorted(self.snapshots)))]
        rest = bytearray(content)
        for offset, length in areas(self.vm, made, "*"):
            rest[offset : offset + length] = bytes(length)
        assert not any(rest)

    def teardown(self):
        if hasattr(self, "vm"):
            assert self.here.read(self.vm) == self.disk
            wait(self.vm.RemoveAllSnapshots_Task())
            assert self.here.read(self.vm) == self.disk
            assert len(chain(self.vm)) == 1


def exported(here, made):
    """The content of a snapshot's first disk, by an NFC lease."""
    from ansible_collections.vdisk.lifecycle.tests.simulator.behaviours.stream import StreamReader

    lease = made.ExportSnapshot()
    try:
        stream = here.download(lease.info.deviceUrl[0].url)
        position = [0]

        def read(length):
            piece = stream[position[0] : position[0] + length]
            position[0] += len(piece)
            return piece

        reader = StreamReader(read)
        content = bytearray(SIZE)
        for offset, data in reader.grains():
            content[offset : offset + len(data)] = data
        assert reader.capacity == SIZE
        return content
    finally:
        with contextlib.suppress(Exception):
            lease.HttpNfcLeaseComplete()


def _run(machines, examples, steps):
    with client("--vms", str(machines)) as here:
        run_state_machine_as_test(
            type("Model", (Truth,), {"here": here}),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                phases=[Phase.generate],  # each step is a call to a server: shrinking takes hours
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_what_a_disk_held_at_each_snapshot(start_vcenter):
    _run(120, 4, 15)


@pytest.mark.slow
def test_what_a_disk_held_at_each_snapshot_for_longer(start_vcenter):
    _run(300, examples(10), 25)
