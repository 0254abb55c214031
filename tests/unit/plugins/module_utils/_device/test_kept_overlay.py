# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Overlays that outlive their process, and what a crash leaves of them."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskInUse,
    NoSpace,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.kept_overlay import (
    LOG_SUFFIX,
    KeptOverlay,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice

SIZE = 300_001
BASE = bytes(range(251)) * (SIZE // 251) + b"end" * 100
BASE = BASE[:SIZE]
steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "zero", "flush"]),
        st.integers(0, SIZE),
        st.integers(1, 150_000),
        st.integers(1, 255),
    ),
    max_size=10,
)


def make(folder, identity="point 1"):
    return KeptOverlay(MemoryDevice(BASE), str(folder / "overlay"), identity)


def change(overlay, model, step):
    """What the step changed: (start, end)."""
    kind, offset, length, value = step
    end = min(offset + length, SIZE)
    if kind == "write":
        overlay.write(offset, bytes([value]) * (end - offset))
        model[offset:end] = bytes([value]) * (end - offset)
    elif kind == "zero":
        overlay.zero(offset, end - offset)
        model[offset:end] = bytes(end - offset)
    else:
        overlay.flush()
        return None
    return offset, end


@settings(max_examples=60)
@given(steps=steps)
def test_what_was_flushed_is_there_again(tmp_path_factory, steps):
    folder, model = tmp_path_factory.mktemp("kept"), bytearray(BASE)
    with make(folder) as overlay:
        for step in steps:
            change(overlay, model, step)
        overlay.flush()
    with make(folder) as overlay:
        assert read(overlay, 0, SIZE) == model


@settings(max_examples=80)
@given(steps=steps, torn=st.integers(0, 30), garbage=st.binary(max_size=40))
def test_a_crash_loses_nothing_that_was_flushed(tmp_path_factory, steps, torn, garbage):
    """The log may have lost its end, or grown by anything, where no flush had returned yet."""
    folder, model = tmp_path_factory.mktemp("kept"), bytearray(BASE)
    safe, loose = bytearray(BASE), []
    crashed = tmp_path_factory.mktemp("crashed")
    with make(folder) as overlay:
        for step in steps:
            changed = change(overlay, model, step)
            loose = [*loose, changed] if changed else []
            if not changed:
                safe = bytearray(model)
        flushed = (folder / f"overlay{LOG_SUFFIX}").read_bytes()
        shutil.copy(folder / "overlay", crashed / "overlay")
    (crashed / f"overlay{LOG_SUFFIX}").write_bytes(flushed + garbage[:torn])
    with make(crashed) as overlay:
        found = read(overlay, 0, SIZE)
    for start, end in loose:  # either is right there
        found[start:end] = safe[start:end] = bytes(end - start)
    assert found == safe


def test_a_log_without_its_head_is_a_new_one(tmp_path):
    make(tmp_path).close()
    log = tmp_path / f"overlay{LOG_SUFFIX}"
    log.write_bytes(log.read_bytes()[:17])
    with make(tmp_path) as overlay:
        assert read(overlay, 0, SIZE) == BASE


def test_over_another_base_it_is_refused(tmp_path):
    with make(tmp_path) as overlay:
        overlay.write(0, b"mine")
        overlay.flush()
    with pytest.raises(CorruptDisk, match=r"made over another disk.*point 1.*point 2"):
        make(tmp_path, "point 2")
    with make(tmp_path) as overlay:
        assert read(overlay, 0, 4) == b"mine"


def test_two_processes_cannot_have_it(tmp_path):
    with make(tmp_path), pytest.raises(DiskInUse):
        make(tmp_path)


def test_the_base_is_never_written(tmp_path):
    base = MemoryDevice(BASE)
    with KeptOverlay(base, str(tmp_path / "overlay"), "point 1") as overlay:
        overlay.write(70_000, b"b" * 5)
        overlay.flush()
        assert read(base, 0, SIZE) == BASE


def test_what_could_not_be_logged_is_logged_by_the_next_flush(tmp_path, monkeypatch):
    with make(tmp_path) as overlay:
        overlay.write(70_000, b"mine")
        with monkeypatch.context() as full:
            full.setattr(overlay._log, "write", no_space)
            with pytest.raises(NoSpace):
                overlay.flush()
        overlay.flush()
    with make(tmp_path) as overlay:
        assert read(overlay, 70_000, 4) == b"mine"


@pytest.mark.parametrize("which", ["_file", "_log"])
def test_after_a_flush_that_failed_none_succeeds(tmp_path, monkeypatch, which):
    """The kernel tells once that it could not store something, and forgets it then."""
    with make(tmp_path) as overlay:
        overlay.write(70_000, b"mine")
        with monkeypatch.context() as broken:
            broken.setattr(getattr(overlay, which), "flush", no_space)
            with pytest.raises(NoSpace):
                overlay.flush()
        with pytest.raises(NoSpace):
            overlay.flush()


def test_what_a_torn_log_named_last_is_not_found_again(tmp_path):
    """Pages of one flush reach the disk in any order: behind the tear there may be whole ones."""
    with make(tmp_path) as overlay:
        overlay.write(70_000, b"never acknowledged")
        overlay.flush()
    log = tmp_path / f"overlay{LOG_SUFFIX}"
    head, entry = log.read_bytes()[:512], log.read_bytes()[512:]
    log.write_bytes(head + bytes(len(entry)) + entry)
    with make(tmp_path) as overlay:
        assert read(overlay, 0, SIZE) == BASE
        overlay.write(0, b"mine")
        overlay.flush()
    with make(tmp_path) as overlay:
        assert read(overlay, 0, SIZE) == b"mine" + BASE[4:]


def test_where_its_content_is_gone_zeros_are_not_shown_instead(tmp_path):
    with make(tmp_path) as overlay:
        overlay.write(0, b"mine")
        overlay.flush()
    (tmp_path / "overlay").unlink()
    with pytest.raises(CorruptDisk, match="gone"):
        make(tmp_path)


@pytest.mark.parametrize("verb", ["write", "zero"])
def test_a_change_that_failed_shows_no_third_content(tmp_path, monkeypatch, verb):
    """Neither zeros nor what a crash left in the file, but what was there before."""
    arguments = {"write": b"x" * SIZE, "zero": SIZE}[verb]
    with make(tmp_path) as overlay:
        write = overlay._file.write

        def edges_only(offset, data):
            return no_space() if len(data) == SIZE else write(offset, data)

        with monkeypatch.context() as full:
            full.setattr(overlay._file, "write", edges_only)
            full.setattr(overlay._file, "zero", no_space)
            with pytest.raises(NoSpace):
                getattr(overlay, verb)(0, arguments)
        assert read(overlay, 0, SIZE) == BASE


def no_space(*_arguments):
    raise NoSpace("no space left on the device")
