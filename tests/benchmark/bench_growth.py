# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What things cost as a repository grows: time and peak memory, each in a process of its own.

PYTHONPATH=.venv/collections .venv/bin/python tests/benchmark/bench_growth.py

First a repository of a million chunks (of a few bytes each, so made in a minute): a disk of 1 TiB
with many points, and many points of a small one. Then real backups of disks of some GiB, all of it
data that compresses well, so that it is not the storage that is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import Device
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import (
    keys,
    manifest,
    map,
    pack,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.chunk import (
    Encoded,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.changes import (
    Changes,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)

PASSPHRASE = "benchmark"
CHUNK = 1 << 20
PACK = 128  # chunks of one pack: 64 MiB of chunks that compress to a half
BIG_POINTS = 30  # of the big disk, each with ten groups of its own
SMALL_POINTS = 2000
CHANGED = 10  # groups


class Synthetic(Device):
    """Every chunk is different, and every page in it the same."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._page = os.urandom(4096)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        page = (offset // CHUNK).to_bytes(8, "little") + self._page[8:]
        buffer[:] = (page * (buffer.nbytes // len(page) + 1))[: buffer.nbytes]

    def extents(self, offset: int = 0, length: int | None = None) -> t.Iterator[Extent]:
        yield Extent(offset, self.check_range(offset, length), Kind.DATA)


class Numbered(Synthetic):
    """The same content each time."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._page = bytes(range(256)) * 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--gib", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--folder", default=None, help="where to work; needs about 2 GiB")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        run_step(*options.step)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        os.environ["VDISK_CACHE"] = f"{folder}/cache"
        table(Path(folder), options.chunks, options.gib)


def table(folder: Path, chunks: int, sizes: list[int]) -> None:
    print(f"{'repository':<22} {'work':<42} {'seconds':>8} {'MiB':>6}")
    url = str(folder / "synthetic")
    label = f"{chunks:,} chunks"
    measure(label, "made", url, "make", chunks)
    for work, step in (
        (f"list {BIG_POINTS + SMALL_POINTS} points, unknown host", "list"),
        ("the same, known", "list"),
        ("open a point of the big disk", "open"),
        ("unchanged backup by a list, unknown host", "unchanged"),
        ("the same, known", "unchanged"),
        ("sizes of all points, unknown host", "sizes"),
        ("the same, known", "sizes"),
        ("prune half of the points, collect", "prune"),
        ("collect once more: packs are deleted", "collect"),
        ("unchanged backup after that", "unchanged"),
    ):
        measure(label, work, url, step, chunks)
    for gib in sizes:
        url = str(folder / f"{gib}")
        for work, step in (("first backup", "first"), ("unchanged, all is read", "again")):
            measure(f"{gib} GiB of data", work, url, step, gib)


def measure(label: str, work: str, url: str, step: str, value: int) -> None:
    argv = [sys.executable, __file__, "--step", step, url, str(value)]
    answer = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout
    seconds, mebibytes = json.loads(answer)
    print(f"{label:<22} {work:<42} {seconds:>8.2f} {mebibytes:>6.0f}", flush=True)


def run_step(step: str, url: str, value: str) -> None:
    """Without the opening of the repository: time and memory of scrypt are another matter."""
    keys.COST = (1 << 4, 8, 1)
    steps: dict[str, t.Callable[[Repository, int], object]] = {
        "make": make,
        "list": lambda repository, _value: repository.stats(repository.points()),
        "open": open_point,
        "unchanged": unchanged,
        "sizes": lambda repository, _value: repository.measure(repository.points()),
        "prune": prune,
        "collect": lambda repository, _value: collect(repository),
        "first": back_up,
        "again": back_up,
    }
    if step in ("make", "first"):
        create_repository(url, passphrase=PASSPHRASE, encryption="aes-256-gcm")
    repository = Repository.open(url, PASSPHRASE)
    begin = time.monotonic()
    steps[step](repository, int(value))
    seconds = time.monotonic() - begin
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def open_point(repository: Repository, _value: int) -> None:
    device = repository.open_disk(repository.find("big@latest").point)
    next(device.extents(device.size // 2))


def unchanged(repository: Repository, chunks: int) -> None:
    def state() -> str:
        return "now"

    disk = DiskSource(
        "disk0",
        "disk0",
        Synthetic(chunks * CHUNK),
        "",
        "",
        changes=(Changes("now", list),),
        change_id=state,
        self_check=0,
    )
    made = repository.back_up([disk], Source("disk", "big", "big"))
    assert made.point.disks[0].bytes_read == 0, made


def prune(repository: Repository, _value: int) -> None:
    """Half of the manifests by hand: how long the rules take is not the question."""
    for point in repository.points():
        if point.name.isdigit() and int(point.name) % 2 == 0:
            repository._access.store.delete(point.key)
    collect(repository)


def collect(repository: Repository) -> None:
    repository.prune(PruneRequest(grace=0)).run()


def back_up(repository: Repository, gib: int) -> None:
    disk = DiskSource("disk0", "disk0", Numbered(gib << 30), "", "")
    repository.back_up([disk], Source("disk", "data", "data"))


def make(repository: Repository, chunks: int) -> None:
    """Chunks of 16 bytes that no reader would accept; maps and manifests as they should be."""
    os.fsync = lambda _descriptor: None  # it is thrown away anyhow
    maker = Maker(repository)
    refs = maker.groups(chunks)
    for number in range(BIG_POINTS):
        first = number * CHANGED % max(1, len(refs) - CHANGED)
        refs[first : first + CHANGED] = maker.groups(min(chunks, CHANGED * map.GROUP))
        maker.point("big", number, chunks * CHUNK, refs)
    small = maker.groups(8 * map.GROUP)
    for number in range(SMALL_POINTS):
        maker.point("small", number, 8 * map.GROUP * CHUNK, small)


class Maker:
    """Writes packs, maps and manifests without any disk."""

    def __init__(self, repository: Repository) -> None:
        self._access = repository._access

    def groups(self, chunks: int) -> list[map.MapRef | None]:
        locations: list[pack.Location] = []
        while len(locations) < chunks:
            locations += self._chunks(min(PACK, chunks - len(locations)))
        groups = [locations[at : at + map.GROUP] for at in range(0, chunks, map.GROUP)]
        contents = [b"".join(location.id for location in group) for group in groups]
        identify = self._access.subkeys.identify
        maps = [map.encode_map(group) for group in groups]
        blobs = [(identify(data), data) for data in maps]
        places = [
            place
            for at in range(0, len(blobs), PACK)
            for place in self._pack(pack.BlobKind.MAP, blobs[at : at + PACK])
        ]
        return [
            map.MapRef(place, identify(ids)) for place, ids in zip(places, contents, strict=True)
        ]

    def _chunks(self, count: int) -> list[pack.Location]:
        blobs = [(os.urandom(32), os.urandom(16)) for _number in range(count)]
        return self._pack(pack.BlobKind.DATA, blobs)

    def _pack(self, kind: pack.BlobKind, blobs: list[tuple[bytes, bytes]]) -> list[pack.Location]:
        writer = pack.PackWriter(self._access.store, self._access.subkeys)
        places = [writer.add(kind, blob_id, Encoded(data, raw=True)) for blob_id, data in blobs]
        name = writer.finish()
        return [
            pack.Location(name, *place, True, blob_id)
            for place, (blob_id, _data) in zip(places, blobs, strict=True)
        ]

    def point(self, source: str, number: int, size: int, refs: list[map.MapRef | None]) -> None:
        contents = (map.NO_ID if ref is None else ref.content for ref in refs)
        root = map.root_of(self._access.subkeys, size, contents)
        text = f"{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
        disk = manifest.PointDisk(
            name="disk0",
            key=None,
            label="disk0",
            uuid="",
            path="",
            size=size,
            method="full",
            reason="made up",
            bytes_read=0,
            bytes_new=0,
            root=root,
            maps=refs,
            facts={},
            change_id="now",
        )
        point = manifest.RestorePoint(
            id=f"20261122T{text.replace(':', '')}Z-{number:08x}",
            name=str(number),
            exact=f"2026-11-22T{text}.000000Z",
            source_kind="disk",
            source_id=source,
            source_name=source,
            source_facts={},
            disks=[disk],
            stored=0,
            repository=self._access.store.url,
            id_hash=self._access.config.id_hash,
        )
        data = manifest.encode(point, self._access.config, self._access.subkeys)
        self._access.store.put(point.key, data)


if __name__ == "__main__":
    main()
