# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What forked workers tell reaches the listener, whole."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.plugin_utils import progress_channel

WORKERS, MESSAGES = 4, 100


@pytest.fixture(autouse=True)
def no_listener(monkeypatch):
    monkeypatch.setattr(progress_channel, "_ends", [])
    yield
    for end in progress_channel._ends:
        os.close(end)


def work(worker):
    """In a process of its own: the exit code says whether all was taken."""
    text = "x" * 100
    told = [progress_channel.tell({"w": worker, "n": n, "x": text}) for n in range(MESSAGES)]
    os._exit(0 if all(told) else 1)


def test_workers_at_the_same_time():
    listener = progress_channel.Listener()
    workers = [os.fork() or work(number) for number in range(WORKERS)]
    assert [os.waitpid(worker, 0)[1] for worker in workers] == [0] * WORKERS
    heard = [(message["w"], message["n"]) for message in listener.heard()]
    assert sorted(heard) == [(w, n) for w in range(WORKERS) for n in range(MESSAGES)]
    assert listener.heard() == []


def test_where_nobody_listens_the_worker_knows():
    assert not progress_channel.tell({"n": 1})
    listener = progress_channel.Listener()
    assert not progress_channel.tell({"label": "x" * progress_channel.LONGEST})
    assert listener.heard() == []
    for _number in range(1000):  # and nobody reads
        if not progress_channel.tell({"label": "x" * 1000}):
            return
    pytest.fail("a worker would wait for a reader that is gone")
