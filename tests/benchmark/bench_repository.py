# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository against restic and borg: the same disk, in one run, interleaved.

PYTHONPATH=.venv/collections .venv/bin/python tests/benchmark/bench_repository.py --rounds 3

Whole processes are timed, fsync and key derivation included. The disk is real files of this
machine, 64 MiB of data and a hole in turn. `changed` rewrites 2 % of the data in runs of 64 KiB to
2 MiB. Each peer checks in `verify` that all that is stored can be read, decrypted and is what it
should be. CPU seconds (user + system, all threads) say more than the clock on a machine that does
other things too. Ratios are how many times faster we are, the median over the rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from peers import PASSPHRASE, PEERS, Ours, Peer

MIB = 1 << 20
STRIPE = 64 * MIB
GRAIN = 64 << 10
STEPS = Ours.steps
# How many times faster we must be, and want to be: the design's table, unprimed.
BOUNDS = {
    ("first", "restic"): (2.0, 3.5),
    ("unchanged", "restic"): (4.0, 8.0),
    ("unchanged", "borg"): (3.0, 5.0),
    ("changed", "restic"): (4.0, 8.0),
    ("changed", "borg"): (3.0, 5.0),
    ("verify", "restic"): (2.0, 4.0),
    ("restore", "restic"): (2.0, 4.0),
    ("restore", "cp"): (1 / 1.8, 1 / 1.3),
}


class Run(t.NamedTuple):
    """What one step of one tool cost."""

    seconds: float
    cpu: float
    peak: int  # bytes
    stored: int  # bytes of the repository after it


@dataclasses.dataclass
class Results:
    runs: dict[tuple[str, str], list[Run]] = dataclasses.field(default_factory=dict)

    def add(self, step: str, name: str, run: Run) -> None:
        self.runs.setdefault((step, name), []).append(run)

    def median(self, step: str, name: str, what: str) -> float:
        return statistics.median(getattr(run, what) for run in self.runs[step, name])

    def ratio(self, step: str, name: str, what: str) -> float:
        """How much more they need than we do in the same round."""
        pairs = zip(self.runs[step, name], self.runs[step, Ours.name], strict=True)
        return statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs)

    def peak(self, name: str) -> int:
        return max(
            run.peak for (_step, of), runs in self.runs.items() if of == name for run in runs
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="GiB of data in the disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changed", type=float, default=2.0, help="percent of the data")
    parser.add_argument("--folder", default=None, help="where to work; needs 8 times the data")
    options = parser.parse_args()
    peers = [peer for peer in PEERS if peer.is_here()]
    for peer in PEERS:
        if peer not in peers:
            print(f"{peer.name} is not installed: left out (apt-get install restic borgbackup)")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        disks = Disks(Path(folder), int(options.gib * 1024) * MIB, options.changed / 100)
        report(bench(disks, options.rounds, peers), peers)


class Disks:
    """The disk that is backed up."""

    def __init__(self, folder: Path, data: int, changed: float) -> None:
        self.folder, self.changed = folder, changed
        self.disk, self._original = folder / "disk.img", folder / "original.img"
        print(f"making a disk of {data // MIB} MiB of data", flush=True)
        make_disk(self._original, data)

    def reset(self) -> None:
        command = ["cp", "--sparse=always", self._original, self.disk]
        subprocess.run(command, check=True)

    def change(self, seed: int) -> None:
        """In runs of 1 to 32 grains, half of it noise, half of it text."""
        chance = random.Random(seed)
        left = int(self.disk.stat().st_blocks * 512 * self.changed)
        with self.disk.open("r+b") as disk:
            while left > 0:
                stripe = chance.randrange(max(1, self.disk.stat().st_size // (2 * STRIPE)))
                length = min(chance.randint(1, 32) * GRAIN, left)
                inside = chance.randrange((STRIPE - length) // GRAIN) * GRAIN
                disk.seek(2 * stripe * STRIPE + inside)
                noise = chance.randbytes(length // 2)
                disk.write(noise + noise.hex().encode()[: length - len(noise)])
                left -= length


def make_disk(path: Path, data: int) -> None:
    """Real files of this machine, striped with holes."""
    roots = ["/usr/lib", "/usr/share", "/usr/bin", "/opt", sys.base_prefix]
    command = ["tar", "-c", "--sort=name", *filter(os.path.exists, roots)]
    with (
        path.open("wb") as disk,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tar,
    ):
        assert tar.stdout is not None
        for stripe in range(-(-data // STRIPE)):
            disk.seek(2 * stripe * STRIPE)
            for _part in range(min(STRIPE, data - stripe * STRIPE) // MIB):
                disk.write(tar.stdout.read(MIB))  # small: our peak would count as our children's
        disk.truncate(2 * data)
        tar.kill()


def bench(disks: Disks, rounds: int, peers: list[type[Peer]]) -> Results:
    results = Results()
    for number in range(rounds):
        disks.reset()
        work = disks.folder / f"round{number}"
        work.mkdir()
        tools = [peer(work) for peer in peers]
        for step in STEPS:
            if step == "changed":
                disks.change(number)
            random.Random(f"{number}{step}").shuffle(tools)  # nobody always comes first
            for tool in tools:
                if step in tool.steps:
                    run = run_step(tool, step, disks.disk)
                    results.add(step, tool.name, run)
                    told = f"{run.seconds:.2f} s, {run.cpu:.2f} s of CPU"
                    print(f"round {number + 1}: {step}: {tool.name} {told}", flush=True)
        shutil.rmtree(work)
    return results


def run_step(tool: Peer, step: str, disk: Path) -> Run:
    environment = environment_for(tool)
    os.sync()
    begin, cpu, peak = time.perf_counter(), 0.0, 0
    for command in tool.commands(step, disk):
        process = subprocess.Popen(
            command, env=environment, cwd=tool.work, stdout=subprocess.DEVNULL
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{tool.name} {step} failed: {command}")
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss * 1024)
    seconds = time.perf_counter() - begin
    if step == "restore":
        check_restored(tool, disk)
    return Run(seconds, cpu, peak, folder_size(tool.repository))


def environment_for(tool: Peer) -> dict[str, str]:
    environment = {
        **os.environ,
        "RESTIC_PASSWORD": PASSPHRASE,
        "BORG_PASSPHRASE": PASSPHRASE,
        "BORG_BASE_DIR": str(tool.work / "borg-base"),
        "XDG_CACHE_HOME": str(tool.work / "cache"),
    }
    environment.pop("PYTHONPATH", None)  # borg is Python too, but another one
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if isinstance(tool, Ours):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    return environment


def check_restored(tool: Peer, disk: Path) -> None:
    restored = tool.restored(disk)
    if digest(restored) != digest(disk):
        sys.exit(f"{tool.name} restored something else")
    restored.unlink()


def digest(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(4 * MIB):
            whole.update(piece)
    return whole.hexdigest()


def folder_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def report(results: Results, peers: list[type[Peer]]) -> None:
    print(
        f"\n{'step':<10} {'tool':<7} {'s':>7} {'CPU s':>7} {'ratio':>7} {'by CPU':>7} "
        f"{'floor':>6} {'goal':>6} {'stored MB':>10} {'peak MB':>8}"
    )
    for step in STEPS:
        for peer in peers:
            if step in peer.steps:
                print(line(results, step, peer.name))
    for peer in peers:
        if len(peer.steps) > 1:
            print(f"peak memory of {peer.name}: {results.peak(peer.name) / 1e6:.0f} MB")


def line(results: Results, step: str, name: str) -> str:
    floor, goal = BOUNDS.get((step, name), (None, None))
    ratio = results.ratio(step, name, "seconds")
    bounds = "" if floor is None else f"{floor:>6.2f} {goal:>6.2f}"
    verdict = "" if floor is None or ratio >= floor else "  BELOW ITS FLOOR"
    return (
        f"{step:<10} {name:<7} {results.median(step, name, 'seconds'):>7.2f} "
        f"{results.median(step, name, 'cpu'):>7.2f} {ratio:>6.2f}x "
        f"{results.ratio(step, name, 'cpu'):>6.2f}x {bounds:>13} "
        f"{results.median(step, name, 'stored') / 1e6:>10.1f} "
        f"{results.median(step, name, 'peak') / 1e6:>8.0f}{verdict}"
    )


if __name__ == "__main__":
    main()
