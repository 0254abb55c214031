# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client and server together are nothing but a bytearray, whatever dies in between."""

from __future__ import annotations

import random
import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import ZeroDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.overlay import Overlay

SIZE = 1_300_007
RUN = st.tuples(st.integers(0, SIZE), st.integers(0, 700_000)).map(
    lambda run: (run[0], min(run[1], SIZE - run[0]))
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), RUN, st.integers(1, 255)),
        st.tuples(st.just("zero"), RUN),
        st.tuples(st.just("read"), RUN),
        st.tuples(st.just("extents"), RUN),
        st.tuples(st.just("flush")),
        st.tuples(st.just("crash")),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(STEPS)
def test_every_step(serving, volatile, steps):
    model = bytearray(SIZE)
    with serving(volatile(SIZE)) as served, served.open() as disk:
        for step in steps:
            take(step, served, disk, model)
        assert read(disk, 0, SIZE) == model
        disk.flush()
        assert served.device.durable == model


def take(step, served, disk, model):
    name, (offset, length) = step[0], step[1] if len(step) > 1 else (0, 0)
    if name == "write":
        data = bytes([step[2]]) * length
        disk.write(offset, data)
        model[offset : offset + length] = data
    elif name == "zero":
        disk.zero(offset, length)
        model[offset : offset + length] = bytes(length)
    elif name == "read":
        assert read(disk, offset, length) == model[offset : offset + length]
    elif name == "flush":
        disk.flush()
    elif name == "crash":
        served.crash()
    else:
        check_extents(disk, model, offset, length)


def check_extents(disk, model, offset, length):
    at = offset
    for extent in disk.extents(offset, length):
        assert extent.offset == at
        at = extent.end
        if extent.kind is Kind.ZERO:
            assert not any(model[extent.offset : extent.end])
    assert at == offset + length


@settings(max_examples=20)
@given(STEPS)
def test_holes_are_told(serving, steps):
    """Over a device that has some."""
    model = bytearray(SIZE)
    with serving(Overlay(ZeroDevice(SIZE))) as served, served.open() as disk:
        for step in steps:
            if step[0] != "crash":
                take(step, served, disk, model)
        check_extents(disk, model, 0, SIZE)


def test_many_threads_while_the_server_dies_again_and_again(serving, volatile):
    """Each thread has a part of the disk; nothing that was flushed may be missing at the end. The
    server dies again once each of them has got on."""
    part, threads = 400_000, 4
    failures, rounds = [], [0] * 4

    def work(number, disk):
        pick = random.Random(number)
        mine = bytearray(part)
        try:
            while not over.is_set():
                start = pick.randrange(part)
                data = pick.randbytes(pick.randrange(1, part - start + 1))
                disk.write(number * part + start, data)
                mine[start : start + len(data)] = data
                if pick.random() < 0.2:
                    disk.flush()
                assert read(disk, number * part, part) == mine
                rounds[number] += 1
            expected[number] = bytes(mine)
        except BaseException as error:
            failures.append(error)

    expected, over, moments = {}, threading.Event(), random.Random(99)
    with serving(volatile(part * threads)) as served, served.open() as disk:
        workers = [threading.Thread(target=work, args=(n, disk)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for _death in range(20):
            served.crash()
            before, end = list(rounds), time.monotonic() + 60
            while any(
                worker.is_alive() and then == now
                for worker, then, now in zip(workers, before, rounds, strict=True)
            ):
                assert time.monotonic() < end, "one of them does not get on"
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.02))
        over.set()
        for worker in workers:
            worker.join()
        assert not failures
        disk.flush()
        assert served.device.durable == b"".join(expected[n] for n in range(threads))


def test_what_was_written_is_kept_no_longer_than_needed(serving, volatile, monkeypatch):
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd import unflushed

    monkeypatch.setattr(unflushed, "LIMIT", 1 << 20)
    with serving(volatile(4 << 20)) as served, served.open() as disk:
        for offset in range(0, 4 << 20, 256 << 10):
            disk.write(offset, b"x" * (256 << 10))
            assert disk._unflushed._bytes < 1 << 20
        assert disk._unflushed.all() == []


def test_what_is_written_while_the_server_flushes_is_not_forgotten(serving, volatile, monkeypatch):
    with serving(volatile(SIZE)) as served, served.open() as disk:
        exchange = disk._do

        def flush_and_write(requests):
            exchange(requests)
            monkeypatch.undo()
            disk.write(0, b"late")

        disk.write(100, b"early")
        monkeypatch.setattr(disk, "_do", flush_and_write)
        disk.flush()
        served.crash()
        assert read(disk, 0, 4) == b"late"


def test_two_that_flush_at_once_forget_nothing(serving, volatile, monkeypatch):
    """Both begin, one ends, something is written, the other ends."""
    with serving(volatile(SIZE)) as served, served.open() as disk:
        exchange = disk._do

        def flush_between(requests):
            exchange(requests)
            monkeypatch.undo()
            disk.flush()
            disk.write(0, b"late")

        disk.write(100, b"early")
        monkeypatch.setattr(disk, "_do", flush_between)
        disk.flush()
        served.crash()
        assert read(disk, 0, 4) == b"late"
