# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test disks, and the independent programs that judge what the engine reads and writes."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

KIB, MIB = 1 << 10, 1 << 20
GRAIN, TABLE = 64 * KIB, 32 * MIB
REPOSITORY = Path(__file__).resolve().parents[3]
CORPUS = Path(os.environ.get("VDISK_CORPUS", REPOSITORY.parent / "shared" / "corpus"))
LENGTHS = (1, 511, 512, 4096, GRAIN - 1, GRAIN, GRAIN + 1, 300_000)
CHUNK = 8 * MIB


# Test disks: the same on every machine and in every run


@dataclasses.dataclass(frozen=True)
class Sample:
    """Content of a disk, as a sparse raw file."""

    name: str
    path: Path
    size: int

    @property
    def is_large(self):
        return self.size > 1 << 30

    def windows(self):
        """(offset, length) of what holds data and of its surroundings; all of a small disk."""
        if not self.is_large:
            return [(0, self.size)]
        return [
            (max(0, start - MIB), min(end + MIB, self.size) - max(0, start - MIB))
            for start, end in data_of(self.path)
        ]


# name: (size, borders that data lies across, where the other data ends)
SHAPES = {
    "one-sector": (512, (), 512),
    "short-last-grain": (200 * 512, (GRAIN,), 200 * 512),
    "odd-size": (40 * MIB + 3 * 512, (GRAIN, MIB, 2 * MIB, TABLE, 40 * MIB), 40 * MIB),
    "zeros": (33 * MIB, (), 0),
    "empty-tail": (100 * MIB + 512, (GRAIN, TABLE), 60 * MIB),
    # Borders of VMware's split (2047 MiB) and of qemu's (2 GiB); the last extent is short.
    "split": (
        4097 * MIB + 77 * 512,
        (TABLE, 2047 * MIB, 2048 * MIB, 4094 * MIB, 4096 * MIB, 4097 * MIB),
        4097 * MIB,
    ),
}


def make_sample(folder, name):
    size, borders, end = SHAPES[name]
    chooser = random.Random(name)
    starts = [max(0, border - chooser.randrange(1, GRAIN)) for border in borders]
    starts += [chooser.randrange(end) for _number in range(24 if end else 0)]
    path = folder / f"{name}.raw"
    with path.open("wb") as file:
        file.truncate(size)
        for index, start in enumerate(starts):
            length = 2 * GRAIN if index < len(borders) else chooser.choice(LENGTHS)
            file.seek(start)
            file.write(content(chooser, index)[: min(length, size - start)])
    return Sample(name, path, size)


def content(chooser, index):
    """Noise, text, and zeros that take space in the file."""
    if index % 3 == 0:
        return chooser.randbytes(300_000)
    return (b"%08d " % index) * 33_334 if index % 3 == 1 else bytes(300_000)


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """A function: name -> Sample."""
    folder = tmp_path_factory.mktemp("samples")
    made = {}

    def sample(name):
        if name not in made:
            made[name] = make_sample(folder, name)
        return made[name]

    return sample


# Comparing without the engine


def data_of(path):
    """(start, end) of the data of a sparse file."""
    with open(path, "rb") as file:
        position, size = 0, os.fstat(file.fileno()).st_size
        while position < size:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                return
            position = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            yield start, position


@pytest.fixture(scope="session")
def assert_same_file():
    """A function: two raw files hold the same bytes; reads only what is data in one of them."""

    def check(found, expected):
        assert os.path.getsize(found) == os.path.getsize(expected)
        with open(found, "rb") as one, open(expected, "rb") as other:
            for start, end in sorted([*data_of(found), *data_of(expected)]):
                for position in range(start, end, CHUNK):
                    one.seek(position)
                    other.seek(position)
                    length = min(CHUNK, end - position)
                    same = one.read(length) == other.read(length)
                    assert same, f"differs between {position} and {position + length}"

    return check


# Peers


@pytest.fixture(scope="session")
def run():
    """A function: run a program, fail with what it said."""

    def run_program(*command, check=True):
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        result = subprocess.run(
            [os.fspath(part) for part in command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    return run_program


@pytest.fixture(scope="session")
def to_raw(run):
    """A function: what qemu-img makes of a disk."""

    def convert(disk, target):
        run("qemu-img", "convert", "-f", "vmdk", "-O", "raw", disk, target)
        return target

    return convert


@pytest.fixture(scope="session")
def seven_zip():
    """A function: the content of a disk as 7-Zip sees it, in chunks."""
    program = shutil.which("7z") or shutil.which("7zz")
    if program is None:
        pytest.skip("7-Zip is not installed")

    def read(disk):
        command = [program, "x", "-tvmdk", "-so", os.fspath(disk)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while chunk := process.stdout.read(CHUNK):
            yield chunk
        errors = process.stderr.read().decode()
        assert process.wait() == 0, errors

    return read


@pytest.fixture(scope="session")
def libvmdk():
    """A function: (size, reader) of a disk as libvmdk sees it, which does not look for parents."""
    pyvmdk = pytest.importorskip("pyvmdk")

    def handle_of(disk, parent):
        handle = pyvmdk.handle()
        handle.open(os.fspath(disk))
        handle.open_extent_data_files()
        if parent is not None:
            handle.set_parent(handle_of(parent, None))
        return handle

    def opened(disk, parent=None):
        handle = handle_of(disk, parent)

        def read(offset, length):
            parts = []
            while length:
                parts.append(handle.read_buffer_at_offset(min(length, MIB), offset))
                assert parts[-1]
                offset, length = offset + len(parts[-1]), length - len(parts[-1])
            return b"".join(parts)

        return handle.get_media_size(), read

    return opened


@pytest.fixture(scope="session")
def corpus():
    """The folder of disks that other programs made."""
    if not (CORPUS / "manifest.tsv").exists():
        pytest.skip(f"no corpus of disks at {CORPUS}")
    return CORPUS


@pytest.fixture
def read_by(to_raw, seven_zip, libvmdk, tmp_path):
    """A function: the whole of a small disk, as a peer sees it."""

    def whole(peer, disk, parent=None):
        if peer == "qemu":
            return to_raw(disk, tmp_path / "by-qemu.raw").read_bytes()
        if peer == "7zip":
            return b"".join(seven_zip(disk))
        size, read = libvmdk(disk, parent)
        return read(0, size)

    return whole
