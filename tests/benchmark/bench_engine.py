# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk engine against qemu-img: the same disk, in one run, interleaved; then small accesses.

PYTHONPATH=.venv/collections .venv/bin/python tests/benchmark/bench_engine.py [--gib 2] [--rounds 3]

Whole processes are timed, Python's start included; of each side the best round counts, for others
may use the machine. Ours end with fsync, qemu-img's do not. The disk is half data, half holes; nine
tenths of the data are files of this machine, one tenth is noise.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

MIB = 1 << 20
STRIPE = 16 * MIB  # the first half of it is data
ROOTS = ("/usr/share", "/usr/lib", "/usr/bin")


class Cost(t.NamedTuple):
    """What one process took; processor time tells more than the clock on a busy machine."""

    seconds: float
    processor: float
    memory: int


class Job(t.NamedTuple):
    """One conversion, and how many times as fast as qemu-img it has to be."""

    name: str
    disk_type: str
    reads: bool  # from a VMDK to a raw file
    floor: float


JOBS = (
    Job("raw -> monolithicSparse", "monolithicSparse", False, 3),
    Job("monolithicSparse -> raw", "monolithicSparse", True, 1.5),
    Job("raw -> streamOptimized", "streamOptimized", False, 10),
    Job("streamOptimized -> raw", "streamOptimized", True, 2.5),
    Job("raw -> twoGbMaxExtentSparse", "twoGbMaxExtentSparse", False, 5),
    Job("raw -> monolithicFlat", "monolithicFlat", False, 1),
)
SMALL = 4096  # bytes of a random access
ACCESSES = 40_000
ACCESSES_FLOOR = 40_000  # a second, on one thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=2.0, help="size of the disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--level", type=int, help="compression level of ours")
    parser.add_argument("--folder", help="where to work; needs 4 times the size")
    parser.add_argument("--ours", nargs=3, metavar=("TYPE", "SOURCE", "TARGET"))
    options = parser.parse_args()
    if options.ours:
        convert(*options.ours, options.level)
        return
    if shutil.which("qemu-img") is None:
        sys.exit("qemu-img is not installed: nothing to compare with")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench(Path(folder), int(options.gib * 1024) * MIB, options.rounds, options.level)


def convert(disk_type: str, source: str, target: str, level: int | None) -> None:
    """One whole process of ours."""
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import (
        DiskSpec,
    )
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import (
        open_disk,
    )

    if disk_type == "raw":
        with open_disk(source) as disk, RawDevice.create(target, disk.size) as raw:
            copy(disk, raw, target_is_zero=True)
            raw.flush()
        return
    with RawDevice.open(source) as raw:
        spec = DiskSpec(raw.size, disk_type)
        with new_disk(target, spec, compression_level=level) as disk:
            copy(raw, disk, target_is_zero=True)


def our_command(job: Job, source: Path, target: Path, level: int | None) -> list[str]:
    kind = "raw" if job.reads else job.disk_type
    options = [] if level is None else ["--level", str(level)]
    return [sys.executable, __file__, *options, "--ours", kind, str(source), str(target)]


def qemu_command(job: Job, source: Path, target: Path) -> list[str]:
    """With the flags that make it fastest."""
    command = ["qemu-img", "convert", "-W"]
    if job.reads:
        return [*command, "-f", "vmdk", "-O", "raw", str(source), str(target)]
    command += ["-c"] if job.disk_type == "streamOptimized" else []
    command += ["-f", "raw", "-O", "vmdk", "-o", f"subformat={job.disk_type}"]
    return [*command, str(source), str(target)]


def bench(folder: Path, size: int, rounds: int, level: int | None) -> None:
    print(f"making a disk of {size // MIB} MiB, half of it data", flush=True)
    raw = folder / "disk.raw"
    make_disk(raw, size)
    costs: dict[tuple[str, str], list[Cost]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for number in range(rounds):
        for job in JOBS:
            source = folder / f"{job.disk_type}.kept" / "disk.vmdk" if job.reads else raw
            targets = {tool: folder / tool / "disk.vmdk" for tool in ("ours", "qemu-img")}
            commands = {
                "ours": our_command(job, source, targets["ours"], level),
                "qemu-img": qemu_command(job, source, targets["qemu-img"]),
            }
            for tool in sorted(commands, reverse=bool(number % 2)):
                targets[tool].parent.mkdir()
                costs.setdefault((job.name, tool), []).append(run(commands[tool], folder))
                sizes[job.name, tool] = stored(targets[tool].parent)
            check(job, raw, targets["ours"])
            shutil.rmtree(targets["qemu-img"].parent)
            keep(job, targets["ours"].parent)
    report(costs, sizes)
    small_accesses(folder / "monolithicSparse.kept" / "disk.vmdk", rounds)


def stored(folder: Path) -> int:
    """Bytes that the files of a disk take."""
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def keep(job: Job, made: Path) -> None:
    """What a later job reads; all else goes."""
    kept = made.with_name(f"{job.disk_type}.kept")
    if any(other.reads and other.disk_type == job.disk_type for other in JOBS) and not job.reads:
        shutil.rmtree(kept, ignore_errors=True)
        made.rename(kept)
    else:
        shutil.rmtree(made)


def small_accesses(disk_path: Path, rounds: int) -> None:
    """Random accesses of 4 KiB to what holds data, on one thread; the writes change the disk."""
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import (
        open_disk,
    )

    random_number = random.Random(0)
    with open_disk(disk_path, writable=True) as disk:
        stripes = disk.size // STRIPE
        places = [
            random_number.randrange(stripes) * STRIPE
            + random_number.randrange(STRIPE // 2 // SMALL) * SMALL
            for _access in range(ACCESSES)
        ]
        buffer = memoryview(bytearray(random_number.randbytes(SMALL)))
        for name, access in (("writes", disk.write), ("reads", disk.readinto)):
            took = [timed(access, places, buffer) for _round in range(rounds)]
            clock, processor = (ACCESSES / min(times) for times in zip(*took, strict=True))
            print(
                f"random {name} of 4 KiB: {clock:,.0f}/s, {processor:,.0f} for each second of the"
                f" processor; floor {ACCESSES_FLOOR:,}/s: {verdict(clock, ACCESSES_FLOOR)}"
            )


def timed(
    access: t.Callable[[int, memoryview], None], places: list[int], buffer: memoryview
) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    for place in places:
        access(place, buffer)
    return time.perf_counter() - clock, time.process_time() - processor


def verdict(measured: float, floor: float) -> str:
    return "PASS" if measured >= floor else "below"


def run(command: list[str], folder: Path) -> Cost:
    # Compiled once, as an installed program is.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    os.sync()
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    _pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def least(took: list[Cost]) -> Cost:
    """Of each figure the best round."""
    return Cost(
        min(c.seconds for c in took), min(c.processor for c in took), min(c.memory for c in took)
    )


def check(job: Job, raw: Path, output: Path) -> None:
    """The bytes are right; qemu-img is the judge."""
    kind = "raw" if job.reads else "vmdk"
    command = ["qemu-img", "compare", "-q", "-f", "raw", "-F", kind, str(raw), str(output)]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"{job.name}: ours holds something else than the source")


def make_disk(path: Path, size: int) -> None:
    noise = random.Random(0)
    command = ["tar", "-c", "--sort=name", *filter(os.path.exists, ROOTS)]
    with (
        path.open("wb") as disk,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tar,
    ):
        assert tar.stdout is not None
        for number, start in enumerate(range(0, size, STRIPE)):
            length = min(STRIPE // 2, size - start)
            disk.seek(start)
            disk.write(noise.randbytes(length) if number % 10 == 9 else tar.stdout.read(length))
        disk.truncate(size)
        tar.kill()


def report(costs: dict[tuple[str, str], list[Cost]], sizes: dict[tuple[str, str], int]) -> None:
    """The least of all rounds; ratios are above 1 where ours is faster."""
    head = ("conversion", "tool", "seconds", "processor s", "MB", "peak MB")
    print("\n{:<29}{:<10}{:>8}{:>13}{:>8}{:>9}".format(*head))
    for job in JOBS:
        best: dict[str, Cost] = {}
        for tool in ("ours", "qemu-img"):
            took = costs[job.name, tool]
            best[tool] = least(took)
            print(
                f"{job.name:<29}{tool:<10}{best[tool].seconds:>8.2f}{best[tool].processor:>13.2f}"
                f"{sizes[job.name, tool] / 1e6:>8.0f}{max(c.memory for c in took) / 1e6:>9.0f}"
            )
        clock = best["qemu-img"].seconds / best["ours"].seconds
        processor = best["qemu-img"].processor / best["ours"].processor
        note = verdict(clock, job.floor)
        print(f"{'':<29}ratio {clock:>12.1f}x{processor:>12.1f}x  floor {job.floor}x: {note}")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"(peaks include what a process shows of this script's own {own:.0f} MB)")


if __name__ == "__main__":
    main()
