# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What modules use: make a repository, open it, back up, list, find, read."""

from __future__ import annotations

import datetime
import os
import typing as t

from .._device.errors import DiskExists, InvalidRequest, RepositoryDamaged
from .access import Access
from .format import config as configuration
from .format import keys
from .format.manifest import PREFIX as POINTS
from .format.subkeys import MASTER_BYTES, SubKeys
from .read.points import PointRef, disk_of, find_point, load_points, of_source
from .read.reader import PointDevice
from .store.open import open_store
from .write.backup import Backup
from .write.index import load_index
from .write.scan import root_of_device

if t.TYPE_CHECKING:
    from .._device.progress import Progress
    from .format.config import Config
    from .format.keys import Passphrase
    from .format.manifest import RestorePoint
    from .store.protocol import Store
    from .write.backup import BackupResult
    from .write.source import DiskSource, Source


class Repository:
    """An opened repository. Holds no lock and no connection: there is nothing to close."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.url = access.store.url
        self.config = access.config

    @classmethod
    def open(cls, url: str, passphrase: Passphrase | None = None) -> Repository:
        """Raises RepositoryNotFound, WrongKey, RepositoryDamaged, UnsupportedDisk."""
        return cls.from_store(open_store(url), passphrase)

    @classmethod
    def from_store(cls, store: Store, passphrase: Passphrase | None = None) -> Repository:
        config, data = configuration.load(store)
        master = None
        if config.encrypted:
            master = keys.unlock(store, config.repository_id, passphrase)
        elif next(iter(store.list(keys.PREFIX)), None):
            raise RepositoryDamaged(
                "it says that nothing is encrypted, but there are keys",
                path=configuration.KEY,
                hint="Somebody changed it; put the right file back from another copy.",
            )
        subkeys = SubKeys(master)
        configuration.verify(data, subkeys.sign)
        return cls(Access(store, config, subkeys))

    def add_key(self, passphrase: Passphrase) -> str:
        """One more passphrase that opens it; the id of the new key. Raises InvalidRequest."""
        master = self._access.subkeys.master
        if master is None:
            raise InvalidRequest("this repository is not encrypted", path=self.url)
        return keys.add_key(self._access.store, self.config.repository_id, master, passphrase)

    def points(self, source: str | None = None) -> list[RestorePoint]:
        """Newest last; `source` is a name or an id. Damaged ones are listed with a problem."""
        points = load_points(self._access)
        return points if source is None else of_source(points, source)

    def find(self, reference: str) -> PointRef:
        """`SOURCE@POINT[#DISK]`, a point id, or a point name that is unique.

        Raises RestorePointNotFound, AmbiguousRestorePoint, RepositoryDamaged.
        """
        return find_point(load_points(self._access), reference)

    def open_disk(self, point: RestorePoint, disk_name: str = "disk0") -> PointDevice:
        """Raises RestorePointNotFound, RepositoryDamaged."""
        if point.problem is not None:
            raise RepositoryDamaged(
                f"restore point {point.id} cannot be used: {point.problem}", path=self.url
            )
        return PointDevice(self._access, point, point.disks[disk_of(point, disk_name)])

    def back_up(
        self,
        disks: list[DiskSource],
        source: Source,
        *,
        name: str | None = None,
        mode: str = "auto",
        progress: Progress | None = None,
        unchanged_ok: bool = False,
    ) -> BackupResult:
        """Make a restore point, or with unchanged_ok none if the newest holds the same.

        Raises InvalidRequest, NoSpace, DiskIOError, RepositoryNotFound if it is removed meanwhile,
        and DiskExists for a name that is taken, also at the last moment: `found` is the id of the
        point that has it.
        """
        return Backup(self._access, source, mode, progress).run(disks, name, unchanged_ok)

    def check_backup(
        self, disks: list[DiskSource], source: Source, *, name: str | None, mode: str
    ) -> None:
        """Raises what back_up() would raise before it reads a disk. Writes nothing."""
        Backup(self._access, source, mode, None).check(disks, name)

    def same_as(self, point: RestorePoint, disks: list[DiskSource]) -> bool:
        """Whether the point holds just these disks with this content, and nothing that it needs is
        missing: whether back_up() with unchanged_ok would make none. Writes nothing."""
        sizes = {disk.name: disk.device.size for disk in disks}
        if point.problem or sizes != {disk.name: disk.size for disk in point.disks}:
            return False
        if not load_index(self._access, [point]).holds(point):
            return False
        roots = {disk.name: disk.root for disk in point.disks}
        return all(root_of_device(self._access, disk.device) == roots[disk.name] for disk in disks)

    def stats(self) -> dict[str, int]:
        """Counts and bytes: `stored` in packs, `logical` is the size of all disks of all points."""
        points = load_points(self._access)
        packs = [stored.size for stored in self._access.store.list("packs/")]
        return {
            "points": len(points),
            "damaged_points": sum(point.problem is not None for point in points),
            "sources": len({point.source_id for point in points}),
            "packs": len(packs),
            "stored": sum(packs),
            "logical": sum(point.size for point in points),
        }


def create_repository(
    url: str, *, passphrase: Passphrase | None, encryption: str, chunk_size: int = 1 << 20
) -> Repository:
    """A new repository in a directory that is new or empty. repo.json is written last.

    Raises DiskExists, InvalidRequest, NoSpace, DiskIOError.
    """
    check_new(url, passphrase=passphrase, encryption=encryption, chunk_size=chunk_size)
    store = open_store(url)
    config = configuration.Config(
        repository_id=os.urandom(16).hex(),
        created=f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        cipher=encryption,
        chunk_size=chunk_size,
    )
    master = os.urandom(MASTER_BYTES) if config.encrypted else None
    subkeys = SubKeys(master)
    key_id = None
    if master is not None and passphrase is not None:
        key_id = keys.add_key(store, config.repository_id, master, passphrase)
    data = configuration.encode(config, subkeys.sign)
    if not store.put(configuration.KEY, data, if_absent=True):
        if key_id is not None:
            store.delete(keys.key_name(key_id))
        raise DiskExists("somebody else made a repository here at this moment", path=store.url)
    return Repository(Access(store, config, subkeys))


def check_new(url: str, *, passphrase: Passphrase | None, encryption: str, chunk_size: int) -> None:
    """Whether create_repository() would begin; raises what it would raise. Writes nothing."""
    configuration.check_chunk_size(chunk_size)
    _check_encryption(encryption, passphrase)
    _check_place(open_store(url))


def repository_exists(url: str) -> bool:
    """Raises InvalidRequest for a URL that names no store."""
    return open_store(url).size(configuration.KEY) is not None


def read_config(url: str) -> Config:
    """Without any key, so unproven. Raises RepositoryNotFound, RepositoryDamaged."""
    return configuration.load(open_store(url))[0]


def repository_is_empty(url: str) -> bool:
    """Whether no restore point is in it, readable or not."""
    return next(iter(open_store(url).list(POINTS)), None) is None


def _check_encryption(encryption: str, passphrase: Passphrase | None) -> None:
    if encryption not in configuration.CIPHERS:
        raise InvalidRequest(
            f"there is no encryption {encryption!r}", expected=" or ".join(configuration.CIPHERS)
        )
    if encryption == "none" and passphrase is not None:
        raise InvalidRequest("a passphrase does nothing in a repository that is not encrypted")
    if encryption != "none" and passphrase is None:
        raise InvalidRequest(
            "an encrypted repository needs a passphrase",
            hint="Set the option passphrase, or the environment variable VDISK_PASSPHRASE.",
        )


def _check_place(store: Store) -> None:
    if store.size(configuration.KEY) is not None:
        raise DiskExists("there is a repository already", path=store.url)
    # keys/ and tmp/ are what a creation leaves that was cut off before repo.json
    foreign = store.foreign(frozenset(("keys", "tmp")))
    if foreign is not None:
        raise DiskExists("a repository needs an empty directory", path=store.url, found=foreign)
