# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the repository share."""

from __future__ import annotations

import dataclasses
import random
import types
import typing as t

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)

CHUNK = 256 << 10  # the smallest allowed: small disks have several
PASSPHRASE = "correct horse"
REAL_COST = keys.COST
WEB = Source("disk", "5f3d0a9e-web", "web01")


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """scrypt at its real cost would be most of the time of these tests."""
    monkeypatch.setattr(keys, "COST", (1 << 4, 8, 1))


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: t.Any) -> None:
    monkeypatch.setenv("VDISK_CACHE", str(tmp_path / "cache"))


def content(size: int, seed: object = 0) -> bytes:
    """Noise that is the same each time."""
    return random.Random(repr(seed)).randbytes(size)


@dataclasses.dataclass
class Helper:
    """A repository and the few calls that nearly every test makes."""

    url: str
    encryption: str

    @property
    def passphrase(self) -> str | None:
        return PASSPHRASE if self.encryption != "none" else None

    def create(self) -> Repository:
        return create_repository(
            self.url, passphrase=self.passphrase, encryption=self.encryption, chunk_size=CHUNK
        )

    def open(self) -> Repository:
        return Repository.open(self.url, self.passphrase)

    def back_up(self, data: t.Any, source: Source = WEB, **options: t.Any) -> t.Any:
        return self.open().back_up([disk(data)], source, **options)

    def restore(self, reference: str) -> bytes:
        repository = self.open()
        point, name = repository.find(reference)
        device = repository.open_disk(point, name or "disk0")
        return bytes(read(device, 0, device.size))


def disk(data: t.Any, name: str = "disk0") -> DiskSource:
    device = MemoryDevice(data) if isinstance(data, (bytes, bytearray)) else data
    return DiskSource(name, f"{name}.vmdk", device, "uuid-1", "/srv/web01.vmdk", {"adapter": "lsi"})


@pytest.fixture(params=["aes-256-gcm", "none"])
def either(request: pytest.FixtureRequest, tmp_path: t.Any) -> Helper:
    """A new repository, once encrypted and once not."""
    helper = Helper(str(tmp_path / "repository"), request.param)
    helper.create()
    return helper


@pytest.fixture
def encrypted(tmp_path: t.Any) -> Helper:
    helper = Helper(str(tmp_path / "repository"), "aes-256-gcm")
    helper.create()
    return helper


@pytest.fixture(name="helpers")
def helpers_fixture() -> t.Any:
    """Names of this file for tests, which cannot import it."""
    return types.SimpleNamespace(
        CHUNK=CHUNK,
        PASSPHRASE=PASSPHRASE,
        REAL_COST=REAL_COST,
        WEB=WEB,
        content=content,
        disk=disk,
        Helper=Helper,
    )


@pytest.fixture
def snapshot() -> t.Callable[[str], dict[str, bytes]]:
    """What all files under a folder hold."""
    from pathlib import Path

    def take(folder: str) -> dict[str, bytes]:
        files = (path for path in Path(folder).rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files}

    return take
