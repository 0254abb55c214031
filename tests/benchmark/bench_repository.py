# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository against restic and borg: the same disk, in one run, interleaved.

PYTHONPATH=.venv/collections .venv/bin/python tests/benchmark/bench_repository.py --rounds 3

Whole processes are timed, fsync and key derivation included. The disk is real files of this
machine, 64 MiB of data and a hole in turn. Day 2 rewrites 5 % of the data in runs of 64 KiB to
2 MiB.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

MIB = 1 << 20
STRIPE = 64 * MIB
GRAIN = 64 << 10
CHANGED = 0.05
PASSPHRASE = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="GiB of data in the disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=None, help="where to work; needs 8 times the data")
    parser.add_argument("--ours", nargs=3, metavar=("VERB", "REPOSITORY", "DISK"))
    options = parser.parse_args()
    if options.ours:
        run_ours(*options.ours)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench(Path(folder), int(options.gib * 1024) * MIB, options.rounds)


def run_ours(verb: str, url: str, disk: str) -> None:
    """One whole process of ours."""
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository import (
        repository as repositories,
    )
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
        DiskSource,
        Source,
    )

    if verb == "first":
        repositories.create_repository(url, passphrase=PASSPHRASE, encryption="aes-256-gcm")
    repository = repositories.Repository.open(url, PASSPHRASE)
    if verb == "restore":
        device = repository.open_disk(repository.find("bench@latest").point)
        target = RawDevice.create(disk, device.size)
        copy(device, target, target_is_zero=True)
        target.flush()
        target.close()
        return
    device = RawDevice.open(disk)
    source = DiskSource("disk0", "disk0", device, "", disk)
    repository.back_up([source], Source("disk", "bench", "bench"))


class Ours:
    name = "vdisk"

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "vdisk"

    def _run(self, verb: str, disk: Path) -> list[str]:
        return [sys.executable, __file__, "--ours", verb, str(self.repository), str(disk)]

    def first(self, disk: Path) -> list[list[str]]:
        return [self._run("first", disk)]

    def again(self, disk: Path) -> list[list[str]]:
        return [self._run("again", disk)]

    def restore(self, _disk: Path, output: Path) -> list[list[str]]:
        return [self._run("restore", output)]


class Restic:
    name = "restic"

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "restic"
        self.call = ["restic", "--no-cache", "-q", "-r", str(self.repository)]

    def first(self, disk: Path) -> list[list[str]]:
        return [[*self.call, "init"], *self.again(disk)]

    def again(self, disk: Path) -> list[list[str]]:
        return [[*self.call, "backup", "--force", str(disk)]]

    def restore(self, disk: Path, output: Path) -> list[list[str]]:
        command = [*self.call, "restore", "latest", "--target", str(output.parent / "restic.out")]
        return [command]

    def output(self, disk: Path, output: Path) -> Path:
        return output.parent / "restic.out" / disk.relative_to("/")


class Borg:
    """Fixed chunks of 1 MiB, which suits a disk better than borg's default."""

    name = "borg"

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "borg"
        self.count = 0

    def first(self, disk: Path) -> list[list[str]]:
        return [["borg", "init", "-e", "repokey", str(self.repository)], *self.again(disk)]

    def again(self, disk: Path) -> list[list[str]]:
        self.count += 1
        options = ["-C", "zstd,3", "--chunker-params", "fixed,1048576", "--files-cache", "disabled"]
        return [["borg", "create", *options, f"{self.repository}::{self.count}", str(disk)]]

    def restore(self, disk: Path, output: Path) -> list[list[str]]:
        archive = f"{self.repository}::{self.count}"
        return [["borg", "extract", "--sparse", archive, str(disk.relative_to("/"))]]

    def output(self, disk: Path, output: Path) -> Path:
        return output.parent / disk.relative_to("/")


def bench(folder: Path, data: int, rounds: int) -> None:
    disk = folder / "disk.img"
    print(f"making a disk of {data // MIB} MiB of data", flush=True)
    make_disk(disk, data)
    tools = [tool for tool in (Ours, Restic, Borg) if tool is Ours or shutil.which(tool.name)]
    times: dict[tuple[str, str], list[float]] = {}
    sizes: dict[tuple[str, str], int] = {}
    peaks: dict[str, int] = {}
    original = folder / "original.img"
    copy_sparse(disk, original)
    for round_number in range(rounds):
        copy_sparse(original, disk)
        work = folder / f"round{round_number}"
        work.mkdir()
        instances = [tool(work) for tool in tools]
        for step in ("first", "unchanged", "day 2", "restore"):
            if step == "day 2":
                change_disk(disk, round_number)
            random.Random(f"{round_number}{step}").shuffle(instances)
            for tool in instances:
                seconds, peak = run_step(tool, step, disk, work / "restored.img")
                times.setdefault((tool.name, step), []).append(seconds)
                print(f"round {round_number + 1}: {step}: {tool.name} {seconds:.2f} s", flush=True)
                sizes[tool.name, step] = folder_size(tool.repository)
                peaks[tool.name] = max(peaks.get(tool.name, 0), peak)
                if step == "restore":
                    check_restored(tool, disk, work / "restored.img")
        shutil.rmtree(work)
    report(times, sizes, peaks, [tool.name for tool in tools])


def run_step(tool: t.Any, step: str, disk: Path, output: Path) -> tuple[float, int]:
    """(seconds, peak memory in bytes) of one step of one tool."""
    if step == "restore":
        commands = tool.restore(disk, output)
    else:
        commands = tool.first(disk) if step == "first" else tool.again(disk)
    environment = {
        **os.environ,
        "RESTIC_PASSWORD": PASSPHRASE,
        "BORG_PASSPHRASE": PASSPHRASE,
        "BORG_BASE_DIR": str(output.parent / "borg-base"),
    }
    environment.pop("PYTHONPATH", None)  # borg is Python too, but another one
    if isinstance(tool, Ours):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    os.sync()
    begin, peak = time.perf_counter(), 0
    for command in commands:
        process = subprocess.Popen(
            command, env=environment, cwd=output.parent, stdout=subprocess.DEVNULL
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{tool.name} {step} failed: {command}")
        peak = max(peak, usage.ru_maxrss * 1024)
    return time.perf_counter() - begin, peak


def check_restored(tool: t.Any, disk: Path, output: Path) -> None:
    restored = tool.output(disk, output) if hasattr(tool, "output") else output
    if digest(restored) != digest(disk):
        sys.exit(f"{tool.name} restored something else")
    restored.unlink()


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
            disk.write(tar.stdout.read(min(STRIPE, data - stripe * STRIPE)))
        disk.truncate(2 * data)
        tar.kill()


def change_disk(path: Path, seed: int) -> None:
    """Rewrite CHANGED of the data in runs of 1 to 32 grains, half of it noise, half of it text."""
    chance = random.Random(seed)
    left = int(path.stat().st_blocks * 512 * CHANGED)
    with path.open("r+b") as disk:
        while left > 0:
            stripe = chance.randrange(path.stat().st_size // (2 * STRIPE))
            length = min(chance.randint(1, 32) * GRAIN, left)
            inside = chance.randrange((STRIPE - length) // GRAIN) * GRAIN
            disk.seek(2 * stripe * STRIPE + inside)
            noise = chance.randbytes(length // 2)
            disk.write(noise + noise.hex().encode()[: length - len(noise)])
            left -= length


def copy_sparse(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def report(
    times: dict[tuple[str, str], list[float]],
    sizes: dict[tuple[str, str], int],
    peaks: dict[str, int],
    names: list[str],
) -> None:
    ours = names[0]
    print(f"\n{'step':<10} {'tool':<8} {'median s':>9} {'ours faster by':>15} {'stored MB':>10}")
    for step in ("first", "unchanged", "day 2", "restore"):
        for name in names:
            median = statistics.median(times[name, step])
            ratio = statistics.median(
                theirs / own
                for theirs, own in zip(times[name, step], times[ours, step], strict=True)
            )
            size = sizes[name, step] / 1e6
            print(f"{step:<10} {name:<8} {median:>9.2f} {ratio:>14.2f}x {size:>10.1f}")
    for name in names:
        print(f"peak memory of {name}: {peaks[name] / 1e6:.0f} MB")
    print(
        f"(this script itself: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB)"
    )


if __name__ == "__main__":
    main()
