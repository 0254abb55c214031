# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What modules use: make a repository, open it, back up, list, find, read."""

from __future__ import annotations

import hmac
import os
import typing as t

from .._device.errors import DiskError, DiskExists, InvalidRequest, RepositoryDamaged, WrongKey
from .access import Access
from .copy.copy import PointCopier, missing_points
from .format import config as configuration
from .format import keys, times
from .format.pack import pack_sizes
from .format.spare import put_both, spare_key
from .format.subkeys import MASTER_BYTES, SubKeys
from .keep.keyring import add_key, change_keys, check_encryption, list_keys, plan_keys
from .prune.prune import Prune
from .read.late import read_point
from .read.points import PointRef, disk_of, find_point, load_points, of_source
from .read.reader import PointDevice
from .read.sizes import measure
from .store.open import open_store
from .verify.remedy import apply_remedy
from .verify.verify import verify
from .write.backup import Backup
from .write.budget import plan_budget
from .write.index import load_index
from .write.scan import root_of_device

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.progress import Progress
    from .copy.copy import Copied
    from .format.config import Config
    from .format.keys import NewKey, Secret, Secrets
    from .format.manifest import RestorePoint
    from .keep.keyring import KeyPlan
    from .prune.prune import PruneRequest
    from .read.sizes import Sizes
    from .store.protocol import Store
    from .verify.remedy import Remedy
    from .verify.verify import Verified, Wish
    from .write.backup import BackupResult
    from .write.retain import Retention
    from .write.source import DiskSource, Source


class Repository:
    """An opened repository. Holds no lock and no connection: there is nothing to close."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.url = access.store.url
        self.config = access.config

    @classmethod
    def open(cls, url: str, secrets: Secrets = None, otherwise: Secrets = None) -> Repository:
        """`secrets`: a passphrase, what a key file holds, or a tuple of them of which one opens.
        `otherwise` is tried where there are none.

        Raises RepositoryNotFound, WrongKey, RepositoryDamaged, UnsupportedDisk.
        """
        return cls.from_store(open_store(url), secrets, otherwise)

    @classmethod
    def from_store(
        cls, store: Store, secrets: Secrets = None, otherwise: Secrets = None
    ) -> Repository:
        return configuration.load_either(
            store, lambda config, data: cls._opened(store, config, data, secrets, otherwise)
        )

    @classmethod
    def _opened(
        cls, store: Store, config: Config, data: bytes, secrets: Secrets, otherwise: Secrets
    ) -> Repository:
        master = None
        if config.encrypted:
            master = keys.unlock(store, config.repository_id, secrets or otherwise)
        elif keys.key_names(store):
            raise RepositoryDamaged(
                "it says that nothing is encrypted, but there are keys",
                path=configuration.KEY,
                hint="Somebody changed it; put the right file back from another copy.",
            )
        elif any(secrets or ()):
            raise WrongKey(
                "this repository is not encrypted, but a passphrase or key file was given",
                path=store.url,
                hint="If it shall be so, give neither (nor VDISK_PASSPHRASE, VDISK_KEY_FILE). Else "
                "somebody has put it in the place of yours: do not write to it.",
            )
        subkeys = SubKeys(master)
        configuration.verify(data, subkeys.sign)
        return cls(Access(store, config, subkeys))

    def add_key(self, secret: Secret, name: str | None = None) -> str:
        """One more secret that opens it; the id of the new key. Raises InvalidRequest."""
        return add_key(self._access, keys.NewKey(name, secret))

    def list_keys(self) -> list[dict[str, str | None]]:
        """What is known of each key, the oldest first; never a secret."""
        return list_keys(self._access)

    def plan_keys(self, wanted: Sequence[NewKey], *, purge: bool) -> KeyPlan:
        """What must be done so that these keys open it, and with purge no others.

        Raises InvalidRequest for a list that is impossible.
        """
        return plan_keys(self._access, wanted, purge=purge)

    def change_keys(self, plan: KeyPlan) -> None:
        """New keys first, so that a listed key opens it whenever this ends."""
        change_keys(self._access, plan)

    def has_master_key_of(self, other: Repository) -> bool:
        """Whether equal chunks have equal ids in both. Not for repositories without keys."""
        ours, theirs = self._access.subkeys.master, other._access.subkeys.master
        return ours is not None and theirs is not None and hmac.compare_digest(ours, theirs)

    def missing_in(
        self, target: Repository, references: Sequence[str], sources: Sequence[str]
    ) -> list[RestorePoint]:
        """The restore points to copy, the oldest first: those that are named and those of the
        named sources, or all if nothing is named, but for those that are there already.

        Raises RestorePointNotFound, AmbiguousRestorePoint, InvalidRequest for a target that cannot
        take them.
        """
        return missing_points(self._access, target._access, references, sources)

    def copy_points(
        self, target: Repository, points: list[RestorePoint], progress: Progress | None = None
    ) -> Copied:
        """Copy these to another repository.

        Raises RepositoryDamaged naming those that could not be read, after all others were copied.
        """
        return PointCopier(self._access, target._access, progress).run(points)

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
        number = disk_of(point, disk_name)
        point = read_point(self._access, point)  # now, while a failure costs nothing
        return PointDevice(self._access, point, point.disks[number])

    def back_up(
        self,
        disks: list[DiskSource],
        source: Source,
        *,
        name: str | None = None,
        mode: str = "auto",
        progress: Progress | None = None,
        unchanged_ok: bool = False,
        retain: Retention | None = None,
        workers: int | None = None,
        memory_limit: int | None = None,
    ) -> BackupResult:
        """Make a restore point, or with unchanged_ok none if the newest holds the same.

        `workers` threads read and compress, within `memory_limit` bytes: see write/budget.py.
        Raises InvalidRequest, NoSpace, DiskIOError, RepositoryNotFound if it is removed meanwhile,
        and DiskExists for a name that is taken, also at the last moment: `found` is the id of the
        point that has it.
        """
        budget = plan_budget(self.config.chunk_size, workers, memory_limit)
        backup = Backup(self._access, source, mode, progress, retain, budget)
        return backup.run(disks, name, unchanged_ok)

    def check_backup(
        self,
        disks: list[DiskSource],
        source: Source,
        *,
        name: str | None,
        mode: str,
        retain: Retention | None = None,
        workers: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        """Raises what back_up() would raise before it reads a disk. Writes nothing."""
        plan_budget(self.config.chunk_size, workers, memory_limit)
        Backup(self._access, source, mode, None, retain).check(disks, name)

    def same_as(self, point: RestorePoint, disks: list[DiskSource]) -> bool:
        """Whether the point holds just these disks with this content, and nothing that it needs is
        missing: whether back_up() with unchanged_ok would make none. Writes nothing."""
        sizes = {disk.name: disk.device.size for disk in disks}
        if point.problem or sizes != {disk.name: disk.size for disk in point.disks}:
            return False
        if not load_index(self._access).holds(point):
            return False
        roots = {disk.name: disk.root for disk in point.disks}
        states = {disk.name: disk.change_id for disk in point.disks}
        return all(
            _is_unchanged(disk, states[disk.name])
            or root_of_device(self._access, disk.device) == roots[disk.name]
            for disk in disks
        )

    def verify(self, wish: Wish) -> Verified:
        """What is damaged, and whom it hits. Writes nothing.

        Raises InvalidRequest, RestorePointNotFound, AmbiguousRestorePoint.
        """
        return verify(self._access, wish)

    def apply(self, remedy: Remedy) -> None:
        """What verify() found must be done, so that the next backup heals the repository."""
        apply_remedy(self._access, remedy)

    def measure(self, points: Sequence[RestorePoint]) -> Sizes:
        """What each of these points has alone and what it shares; `points` are all there are."""
        return measure(self._access, [point for point in points if point.problem is None])

    def prune(self, request: PruneRequest) -> Prune:
        """A run that drops points by rules and gives back space; nothing is done yet."""
        return Prune(self._access, request)

    def stats(self, points: Sequence[RestorePoint] | None = None) -> dict[str, int]:
        """Counts and bytes: `stored` in packs, `logical` is the size of all disks of all points."""
        points = load_points(self._access) if points is None else points
        packs = pack_sizes(self._access.store)
        return {
            "points": len(points),
            "damaged_points": sum(point.problem is not None for point in points),
            "sources": len({point.source_id for point in points}),
            "packs": len(packs),
            "stored": sum(packs.values()),
            "logical": sum(point.size for point in points),
        }


def _is_unchanged(disk: DiskSource, state: str | None) -> bool:
    """Whether it is known, without reading it, that nothing has changed since this state."""
    since = next((changes for changes in disk.changes if changes.since == state), None)
    if since is None:
        return False
    try:
        return not any(length for _offset, length in since.extents())
    except DiskError:  # nobody knows
        return False


def create_repository(
    url: str,
    *,
    passphrase: Secret | None = None,
    encryption: str,
    chunk_size: int = 1 << 20,
    new_keys: Sequence[NewKey] = (),
    master_of: Repository | None = None,
) -> Repository:
    """A new repository in a directory that is new or empty. repo.json is written last.

    `passphrase` is the secret of one key without a name, `new_keys` are others. `master_of` is a
    repository that shall have the same master key.

    Raises DiskExists, InvalidRequest, NoSpace, DiskIOError.
    """
    if passphrase is not None:
        new_keys = (*new_keys, keys.NewKey(None, passphrase))
    check_new(
        url, encryption=encryption, chunk_size=chunk_size, new_keys=new_keys, master_of=master_of
    )
    store = open_store(url)
    config = configuration.Config(
        repository_id=os.urandom(16).hex(),
        created=times.to_second(times.now()),
        cipher=encryption,
        chunk_size=chunk_size,
    )
    access = Access(store, config, SubKeys(_new_master(config, master_of)))
    made = [add_key(access, new) for new in new_keys]
    data = configuration.encode(config, access.subkeys.sign)
    if not put_both(store, configuration.KEY, data):
        for key_id in made:
            keys.remove_key(store, key_id)
        raise DiskExists("somebody else made a repository here at this moment", path=store.url)
    return Repository(access)


def _new_master(config: Config, master_of: Repository | None) -> bytes | None:
    if not config.encrypted:
        return None
    return os.urandom(MASTER_BYTES) if master_of is None else master_of._access.subkeys.master


def check_new(
    url: str,
    *,
    encryption: str,
    chunk_size: int,
    new_keys: Sequence[NewKey] = (),
    master_of: Repository | None = None,
) -> None:
    """Whether create_repository() would begin; raises what it would raise. Writes nothing."""
    configuration.check_chunk_size(chunk_size)
    check_encryption(encryption, new_keys)
    if master_of is not None and master_of.config.cipher != encryption:
        raise InvalidRequest(
            "a master key can only be that of a repository with the same encryption",
            path=master_of.url,
            found=master_of.config.cipher,
            expected=encryption,
        )
    _check_place(open_store(url))


def repository_exists(url: str) -> bool:
    """Raises InvalidRequest for a URL that names no store."""
    return _is_repository(open_store(url))


def _is_repository(store: Store) -> bool:
    """Whether repo.json is there, or was lost and has left its spare copy."""
    names = (configuration.KEY, spare_key(configuration.KEY))
    return any(store.size(name) is not None for name in names)


def _check_place(store: Store) -> None:
    if _is_repository(store):
        raise DiskExists("there is a repository already", path=store.url)
    # what a creation leaves that was cut off before repo.json
    foreign = store.foreign(frozenset(("keys", "spare", "tmp")))
    if foreign is not None:
        raise DiskExists("a repository needs an empty directory", path=store.url, found=foreign)
