# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bench_repository.py runs: the same work for us, restic and borg, as commands."""

from __future__ import annotations

import shutil
import sys
import typing as t
from pathlib import Path

PASSPHRASE = "benchmark"
Command = list[str]


class Peer:
    """A backup tool with a repository of its own under `work`."""

    name: t.ClassVar[str]
    steps: t.ClassVar[tuple[str, ...]] = ("first", "unchanged", "changed", "verify", "restore")

    def __init__(self, work: Path) -> None:
        self.work = work
        self.repository = work / self.name

    @classmethod
    def is_here(cls) -> bool:
        return shutil.which(cls.name) is not None

    def commands(self, step: str, disk: Path) -> list[Command]:
        """What to run; `restore` writes to restored()."""
        if step == "first":
            return [*self.create(), *self.back_up(disk)]
        if step in ("unchanged", "changed"):
            return self.back_up(disk)
        return self.verify() if step == "verify" else self.restore(disk)

    def create(self) -> list[Command]:
        raise NotImplementedError

    def back_up(self, disk: Path) -> list[Command]:
        raise NotImplementedError

    def verify(self) -> list[Command]:
        raise NotImplementedError

    def restore(self, disk: Path) -> list[Command]:
        raise NotImplementedError

    def restored(self, disk: Path) -> Path:
        return self.work / f"{self.name}.out" / disk.relative_to("/")


class Ours(Peer):
    """Whole processes of Python, each of which opens the repository with its passphrase."""

    name = "vdisk"

    @classmethod
    def is_here(cls) -> bool:
        return True

    def _run(self, verb: str, disk: Path) -> list[Command]:
        return [[sys.executable, __file__, verb, str(self.repository), str(disk)]]

    def create(self) -> list[Command]:
        return []  # in one process with the first backup, as a playbook's tasks are several

    def back_up(self, disk: Path) -> list[Command]:
        return self._run("again" if self.repository.exists() else "first", disk)

    def verify(self) -> list[Command]:
        return self._run("verify", Path("/"))

    def restore(self, disk: Path) -> list[Command]:
        return self._run("restore", self.restored(disk))

    def restored(self, _disk: Path) -> Path:
        return self.work / "vdisk.out"


class Restic(Peer):
    """Its own defaults: chunks cut by content, zstd."""

    name = "restic"

    def _call(self, *arguments: str) -> list[Command]:
        options = ["-q", "-r", str(self.repository), "--cache-dir", str(self.work / "restic-cache")]
        return [["restic", *options, *arguments]]

    def create(self) -> list[Command]:
        return self._call("init")

    def back_up(self, disk: Path) -> list[Command]:
        return self._call("backup", "--force", str(disk))  # a disk changes under the same date

    def verify(self) -> list[Command]:
        return self._call("check", "--read-data")

    def restore(self, disk: Path) -> list[Command]:
        return self._call("restore", "latest", "--target", str(self.work / "restic.out"))


class Borg(Peer):
    """Fixed chunks of 1 MiB, which suits a disk better than borg's default."""

    name = "borg"

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.count = 0

    def create(self) -> list[Command]:
        return [["borg", "init", "-e", "repokey", str(self.repository)]]

    def back_up(self, disk: Path) -> list[Command]:
        self.count += 1
        options = ["-C", "zstd,3", "--chunker-params", "fixed,1048576", "--files-cache", "disabled"]
        return [["borg", "create", *options, f"{self.repository}::{self.count}", str(disk)]]

    def verify(self) -> list[Command]:
        return [["borg", "check", "--verify-data", str(self.repository)]]

    def restore(self, disk: Path) -> list[Command]:
        target, archive = self.work / "borg.out", f"{self.repository}::{self.count}"
        inside = str(disk.relative_to("/"))
        extract = 'mkdir -p "$1" && cd "$1" && exec borg extract --sparse "$2" "$3"'
        return [["sh", "-c", extract, "sh", str(target), archive, inside]]


class Cp(Peer):
    """A plain copy, for comparison with a restore. It does not flush; all others do or might."""

    name = "cp"
    steps = ("restore",)

    def restore(self, disk: Path) -> list[Command]:
        return [["cp", "--sparse=auto", str(disk), str(self.restored(disk))]]

    def restored(self, _disk: Path) -> Path:
        return self.work / "cp.out"


PEERS: tuple[type[Peer], ...] = (Ours, Restic, Borg, Cp)


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
        repository = repositories.create_repository(
            url, passphrase=PASSPHRASE, encryption="aes-256-gcm"
        )
    repository = repositories.Repository.open(url, PASSPHRASE)
    if verb == "verify":
        from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import (  # noqa: E501
            Wish,
        )

        if not repository.verify(Wish(level="data")).ok:
            sys.exit("our own repository is damaged")
    elif verb == "restore":
        device = repository.open_disk(repository.find("bench@latest").point)
        with RawDevice.create(disk, device.size) as target:
            copy(device, target, target_is_zero=True)
            target.flush()
    else:
        source = DiskSource("disk0", "disk0", RawDevice.open(disk), "", disk)
        repository.back_up([source], Source("disk", "bench", "bench"))


if __name__ == "__main__":
    run_ours(*sys.argv[1:])
