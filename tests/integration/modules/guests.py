# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of 400 MiB with one file system, filled by the kernel and judged by its own checker."""

from __future__ import annotations

import contextlib
import json
import subprocess

MIB = 1 << 20
START = 2048 * 512
SIZE = 400 * MIB
MAKERS = {
    "ext2": ["mkfs.ext2", "-q", "-F", "-L", "root"],
    "ext3": ["mkfs.ext3", "-q", "-F", "-L", "root"],
    "ext4": ["mkfs.ext4", "-q", "-F", "-L", "root"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-L", "root"],
    "btrfs": ["mkfs.btrfs", "-q", "-f", "-L", "root"],
}
CHECKERS = {
    "ext2": ["e2fsck", "-fn"],
    "ext3": ["e2fsck", "-fn"],
    "ext4": ["e2fsck", "-fn"],
    "xfs": ["xfs_repair", "-n"],
    "btrfs": ["btrfs", "check", "--readonly"],
}


def run(*command, **options):
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def filling(raw, kind, label="gpt"):
    """Where the file system of a new raw disk is mounted; without a label it has no partitions."""
    with open(raw, "wb") as stream:
        stream.truncate(SIZE)
    start, size = (0, SIZE) if label is None else _partition(raw, label)
    loop = run("losetup", "-f", "--show", "-o", start, "--sizelimit", size, raw).strip()
    try:
        run(*MAKERS[kind], loop)
        with _mounted(raw, loop) as point:
            yield point
    finally:
        run("losetup", "-d", loop)


def _partition(raw, label):
    run("sfdisk", "-q", "--label", label, raw, input="start=2048, type=linux\n")
    table = json.loads(run("sfdisk", "--json", raw))
    return START, table["partitiontable"]["partitions"][0]["size"] * 512


@contextlib.contextmanager
def checked(kind, part):
    """Where a file system that its checker finds sound is mounted, to be read."""
    run(*CHECKERS[kind], part)
    with _mounted(part, "-o", "loop,ro", part) as point:
        yield point


@contextlib.contextmanager
def _mounted(beside, *words):
    point = beside.with_suffix(".mounted")
    point.mkdir()
    run("mount", *words, point)
    try:
        yield point
    finally:
        run("umount", point)
        point.rmdir()
