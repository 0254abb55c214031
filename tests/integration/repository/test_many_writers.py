# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the protocol of writers asks of a store, asked by several processes at once."""

from __future__ import annotations

import datetime
import subprocess
import sys

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)

WRITERS, ROUNDS = 3, 40
# Each writer: takes names that all want; puts an object and lists it at once; rewrites and reads.
WRITER = """
import sys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
url, me, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(url)
session = store.begin_session()
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    if store.put(f"names/{number:03}", me.encode() * 100, if_absent=True):
        print("won", number)
    key = f"tomb/{me}-{number}"
    store.put(key, b"1")
    assert key in [found.key for found in store.list("tomb/")], "not listed after it was put"
    assert session.key in store.sessions(), "a living session is not listed"
    store.put(key, b"22")
    assert store.get(key) == b"22", "an old content was read"
    store.delete(key)
    assert key not in [found.key for found in store.list("tomb/")], "listed after its end"
assert session.is_alive()
session.end()
"""


@pytest.fixture
def winners(any_store_url):
    """Of each name: who was told to have got it."""
    commands = [
        [sys.executable, "-c", WRITER, any_store_url, chr(97 + n), str(ROUNDS)]
        for n in range(WRITERS)
    ]
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for command in commands
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    won = {}
    for number, process in enumerate(running):
        answer, trouble = process.communicate(timeout=120)
        assert process.returncode == 0, trouble
        for line in answer.splitlines():
            won.setdefault(int(line.split()[1]), []).append(chr(97 + number))
    return won


def test_of_many_processes_one_gets_each_name(any_store_url, winners):
    store = open_store(any_store_url)
    for number in range(ROUNDS):
        (winner,) = winners[number]
        assert store.get(f"names/{number:03}") == winner.encode() * 100
    assert store.sessions() == ()


def test_the_clock_of_the_server_is_that_of_its_objects(s3_url):
    """Ages of sessions are differences of one clock, so they are never negative nor large."""
    store = open_store(s3_url)
    session = store.begin_session()
    (entry,) = store._listing("sessions/")
    age = store._clock() - entry["last_modified"]
    assert datetime.timedelta(0) <= age < datetime.timedelta(seconds=60)
    session.end()
