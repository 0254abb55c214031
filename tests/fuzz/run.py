# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m fuzz.run TARGET SECONDS FOLDER [INPUT…]`: look for inputs that break a target.

FOLDER keeps what was learned, and `crash-…` is the input that broke it. With inputs, only those
are run. Guided by coverage where atheris is to be had; else the same damage, blindly.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import sys
import time
import typing as t
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None  # no wheel for this machine

from .mutate import plain


def main() -> None:
    name, seconds, folder, *inputs = sys.argv[1:]
    target = _load(name, instrumented=not inputs)
    if inputs:
        for path in inputs:
            target.judge(Path(path).read_bytes())
    elif atheris is None:
        print(f"fuzz: no atheris for this machine, so {name} is mutated blindly")
        _run_blindly(target, float(seconds), Path(folder))
    else:
        _run_guided(target, seconds, Path(folder))


def _load(name: str, *, instrumented: bool) -> t.Any:
    """Only the engine tells where it has been: what the oracle does is of no interest."""
    hooks: t.Any = contextlib.nullcontext()
    if atheris is not None and instrumented:
        hooks = atheris.instrument_imports(include=["ansible_collections.vdisk"])
    with hooks:
        return importlib.import_module(f"fuzz.targets.{name}")


def _run_guided(target: t.Any, seconds: str, folder: Path) -> None:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        def raw(content: bytes) -> bytes:
            return bytes(atheris.Mutate(content, len(content) + 16))

        return bytes(target.mutate(data, random.Random(seed), raw))[:max_size]

    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", "-timeout=60"]
    options += ["-print_final_stats=1", "-rss_limit_mb=2048", "-max_len=400000", "-len_control=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.judge, custom_mutator=mutate)
    atheris.Fuzz()


def _run_blindly(target: t.Any, seconds: float, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random()
    raw, seeds = plain(rng), target.seeds()
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = target.mutate(rng.choice(seeds), rng, raw)
        count += 1
        try:
            target.judge(data)
        except BaseException:
            path = folder / f"crash-{count}"
            path.write_bytes(data)
            print(f"Test unit written to {path}", file=sys.stderr)
            raise
    print(f"Done {count} runs in {seconds:.0f} second(s)")


if __name__ == "__main__":
    main()
