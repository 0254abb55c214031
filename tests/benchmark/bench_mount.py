# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume of a disk as a directory: ours beside qemu-nbd with nbdfuse, guestmount and plain loop.

PYTHONPATH=.venv/collections .venv/bin/python tests/benchmark/bench_mount.py [--mib 256]

Time to first mount is that of whole processes, Python's start included, until a file was read. The
disk's own file is in the page cache, so that the storage is not measured; nothing else is. Of each
figure the best round counts, for others may use the machine. Needs root, loop devices and FUSE.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from mounters import MOUNTERS, Mounter

MIB = 1 << 20
FILES = 4000  # of the tree that is walked
SMALL = 4096
ACCESSES = 2000
HEAD = ("mounted by", "first", "read", "random", "walk", "write")
UNITS = ("", "s", "MB/s", "4K/s", "files/s", "MB/s")
FLOORS = {"vdisk": "qemu-nbd + nbdfuse", "vdisk (flat, r/o)": "loop"}  # what we must be as fast as
TOLERANCE = 0.9  # of two measurements on a machine that others use too


class Figures(t.NamedTuple):
    """Seconds until the first file was read; then rates."""

    first: float
    read: float
    random: float
    walk: float
    write: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=256, help="of the file that is read and written")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", help="where to work; needs 8 times the size")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("bench_mount: needs root")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench(Path(folder), options.mib, options.rounds)


def bench(folder: Path, mib: int, rounds: int) -> None:
    disks = make_disks(folder, mib)
    best: dict[str, Figures] = {}
    for number in range(rounds):
        for kind in MOUNTERS if number % 2 == 0 else reversed(MOUNTERS):
            missing = kind.missing()
            if missing:
                print(f"{kind.name}: not measured, {missing}" * (number == 0), flush=True)
                continue
            if kind.slow and number:
                continue
            work = folder / "work"
            work.mkdir()
            figures = measure(kind(disks[kind.disk], work), mib // (8 if kind.slow else 1))
            best[kind.name] = better(best.get(kind.name, figures), figures)
            shutil.rmtree(work)
    report(best)


def make_disks(folder: Path, mib: int) -> dict[str, Path]:
    """The same ext4 without a table, as a raw file and as a VMDK."""
    tree = folder / "tree"
    noise = random.Random(0)
    for number in range(FILES):
        path = tree / "files" / f"{number % 100}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.randbytes(noise.randrange(8192)))
    with open(tree / "big", "wb") as stream:
        for _each in range(mib):
            stream.write(noise.randbytes(MIB))
    raw, vmdk = folder / "disk.raw", folder / "disk.vmdk"
    with open(raw, "wb") as stream:
        stream.truncate((3 * mib + 200) * MIB)
    call("mke2fs", "-q", "-t", "ext4", "-d", tree, raw)
    shutil.rmtree(tree)
    call("qemu-img", "convert", "-O", "vmdk", "-o", "subformat=monolithicSparse", raw, vmdk)
    return {"raw": raw, "vmdk": vmdk}


def measure(mounter: Mounter, mib: int) -> Figures:
    """Mounted twice, for the second time with nothing in the caches."""
    warm(mounter.disk)
    begin = time.perf_counter()
    point = mounter.mount()
    (point / "files/1/1").read_bytes()
    first = time.perf_counter() - begin
    try:
        figures = Figures(
            first,
            cold(mounter.disk, read_all, point / "big", mib),
            cold(mounter.disk, read_randomly, point / "big"),
            cold(mounter.disk, walk, point / "files"),
            0 if mounter.read_only else cold(mounter.disk, write, point / "new", mib),
        )
        if not mounter.read_only:
            (point / "new").unlink()
        return figures
    finally:
        mounter.unmount()


def cold(disk: Path, action: t.Callable[..., float], *arguments: t.Any) -> float:
    """With the file systems' caches empty, but the disk's own file in memory."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    warm(disk)
    return action(*arguments)


def warm(disk: Path) -> None:
    buffer = bytearray(MIB)
    with open(disk, "rb", 0) as stream:
        while stream.readinto(buffer):
            pass


def read_all(path: Path, mib: int) -> float:
    buffer = bytearray(MIB)
    begin = time.perf_counter()
    with open(path, "rb", 0) as stream:
        total = sum(stream.readinto(buffer) for _each in range(mib))
    return total / (time.perf_counter() - begin) / 1e6


def read_randomly(path: Path) -> float:
    """For two seconds at most."""
    noise, size = random.Random(1), path.stat().st_size
    count, begin = 0, time.perf_counter()
    with open(path, "rb", 0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        while count < ACCESSES and time.perf_counter() - begin < 2:
            os.pread(stream.fileno(), SMALL, noise.randrange(size // SMALL) * SMALL)
            count += 1
    return count / (time.perf_counter() - begin)


def walk(folder: Path) -> float:
    """As a scanner does: every file is opened and read."""
    begin = time.perf_counter()
    count = 0
    for root, _folders, names in os.walk(folder):
        for name in names:
            Path(root, name).read_bytes()
            count += 1
            if time.perf_counter() - begin > 20:
                return count / (time.perf_counter() - begin)
    return count / (time.perf_counter() - begin)


def write(path: Path, mib: int) -> float:
    data = random.Random(2).randbytes(MIB)
    begin = time.perf_counter()
    with open(path, "wb", 0) as stream:
        for _each in range(mib):
            stream.write(data)
        os.fsync(stream.fileno())
    return mib * MIB / (time.perf_counter() - begin) / 1e6


def better(one: Figures, other: Figures) -> Figures:
    rates = (max(pair) for pair in zip(one[1:], other[1:], strict=True))
    return Figures(min(one.first, other.first), *rates)


def report(best: dict[str, Figures]) -> None:
    form = "{:<22}{:>9}{:>9}{:>9}{:>9}{:>9}"
    print("\n" + form.format(*HEAD) + "\n" + form.format(*UNITS))
    for name, figures in best.items():
        print(
            form.format(
                name,
                f"{figures.first:.2f}",
                *(f"{rate:,.0f}" if rate else "-" for rate in figures[1:]),
            )
        )
    for ours, other in FLOORS.items():
        if ours in best and other in best:
            print(compared(ours, other, best))


def compared(ours: str, other: str, best: dict[str, Figures]) -> str:
    """Above 1 where ours is faster."""
    pairs = zip(HEAD[2:], best[ours][1:], best[other][1:], strict=True)
    rates = {what: mine / his for what, mine, his in pairs if mine}
    ratios = {"first": best[other].first / best[ours].first, **rates}
    told = ", ".join(f"{what} {ratio:.1f}x" for what, ratio in ratios.items())
    note = "PASS" if min(rates.values()) >= TOLERANCE else "below"
    return f"{ours} beside {other}: {told}; rates no lower: {note}"


def call(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
