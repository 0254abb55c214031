# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in a child process, with limits."""

import os
import tempfile
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskIOError,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.limits import (
    NoAnswer,
    each_within,
)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where a child's temporary files go; it is empty afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert os.listdir(tmp_path) == []


def test_what_the_child_gives_arrives_in_order():
    parts = [{"a": [1, None]}, "ü\udcff\n", "x" * (5 << 20), []]
    assert list(each_within(20, lambda: parts)) == parts


def test_it_is_another_process():
    assert list(each_within(20, lambda: [os.getpid()])) != [os.getpid()]


def test_an_error_is_raised_here_with_its_facts():
    def parts():
        yield 1
        raise DiskIOError("cannot read it", path="/etc/x", offset=5, hint="Look at the disk.")

    answers = each_within(20, parts)
    assert next(answers) == 1
    with pytest.raises(DiskIOError, match="cannot read it") as caught:
        next(answers)
    assert (caught.value.path, caught.value.offset) == ("/etc/x", 5)


def test_what_came_before_the_time_was_over_is_given():
    def parts():
        yield "first"
        tempfile.mkdtemp()
        time.sleep(1000)

    answers, begin = each_within(2, parts), time.monotonic()
    assert next(answers) == "first"
    with pytest.raises(NoAnswer, match=r"within 2 seconds"):
        next(answers)
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("action", [lambda: [bytearray(6 << 30)], lambda: [object()]])
def test_what_cannot_be_done_is_an_error_in_words(action):
    with pytest.raises(DiskError, match=r"MemoryError|not JSON"):
        list(each_within(20, action))


def test_a_child_that_dies_is_told():
    with pytest.raises(NoAnswer, match="died"):
        list(each_within(20, lambda: [os._exit(9)]))


def test_a_caller_that_wants_no_more_leaves_no_child():
    def parts():
        while True:
            yield os.getpid()

    answers = each_within(20, parts)
    child = next(answers)
    answers.close()
    assert not os.path.exists(f"/proc/{child}")
