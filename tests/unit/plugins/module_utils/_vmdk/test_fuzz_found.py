# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fuzzing has found stays mended: tests/fuzz/found/TARGET-WHAT.bin, and the seeds."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[4]
FUZZ = TESTS / "fuzz"
TARGETS = sorted(path.stem for path in (FUZZ / "targets").glob("[a-z]*.py"))
FOUND = sorted((FUZZ / "found").glob("*.bin"))


@pytest.fixture
def target(monkeypatch):
    """Import one by its name."""
    monkeypatch.setattr(sys, "path", [str(TESTS), *sys.path])
    return lambda name: importlib.import_module(f"fuzz.targets.{name}")


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_found_input_stays_mended(target, path):
    target(path.stem.split("-")[0]).judge(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_sound_disks_hold(target, name):
    for seed in target(name).seeds():
        target(name).judge(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_damage_is_still_a_bundle_of_files(target, name):
    """A mutator that breaks its own framing would fuzz nothing."""
    rng = random.Random(name)
    module = target(name)
    changed = [module.mutate(seed, rng, lambda data: data) for seed in module.seeds() * 20]
    assert len(set(changed)) > len(module.seeds())
    unpack = importlib.import_module("fuzz.bundle").unpack
    assert name == "descriptor" or all(map(unpack, changed))
