# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed byte anywhere is told, or changes nothing: never other bytes of the disk."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    RepositoryDamaged,
    UnsupportedDisk,
    WrongKey,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import config
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.pack import (
    BlobKind,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.subkeys import (
    SubKeys,
)


@pytest.fixture
def victim(either, helpers, tmp_path):
    """A repository with one point: a compressible chunk, a raw one, a hole."""
    chunk = helpers.CHUNK
    data = b"some text " * (chunk // 10) + b"....." + helpers.content(chunk, 5)
    data = data[: 2 * chunk] + bytes(chunk)
    either.back_up(data)
    either.data = data
    either.folder = tmp_path / "repository"
    return either


def files(victim, pattern):
    return sorted(path for path in victim.folder.glob(pattern) if path.is_file())


def places(data, count=60):
    """Offsets all over a file, its first and last 80 bytes in any case."""
    ends = set(range(min(80, len(data)))) | set(range(max(0, len(data) - 80), len(data)))
    return sorted(ends | set(range(0, len(data), max(1, len(data) // count))))


def flips(path):
    """The file with one byte changed, at each of many places; whole again at the end."""
    data = path.read_bytes()
    for place in places(data):
        changed = bytearray(data)
        changed[place] ^= 0x20 if place % 2 else 0x01
        path.write_bytes(changed)
        yield place
    path.write_bytes(data)


@pytest.mark.parametrize("pattern", ["repo.json", "keys/*.json"])
def test_no_flip_in_what_opens_the_repository_goes_unseen(victim, pattern):
    shutil.rmtree(victim.folder / "spare")  # else it would open: see test_heal.py
    for path in files(victim, pattern):
        for place in flips(path):
            with pytest.raises((RepositoryDamaged, WrongKey, UnsupportedDisk)) as caught:
                victim.open()
            assert path.name in str(caught.value) or isinstance(caught.value, WrongKey), place


def test_no_flip_in_a_manifest_goes_unseen(victim):
    (path,) = files(victim, "backups/*/*")
    for _place in flips(path):
        (point,) = victim.open().points()
        assert path.name in point.problem
        with pytest.raises(RepositoryDamaged):
            victim.open().open_disk(point)


def test_no_flip_in_a_pack_gives_other_bytes(victim):
    told = 0
    for path in files(victim, "packs/*/*"):
        for _place in flips(path):
            try:
                assert victim.restore("web01@latest") == victim.data
            except RepositoryDamaged as error:
                assert path.name in str(error)
                told += 1
    assert told > 100


# Not for "none": some bits of a zstd frame mean nothing. The name of the pack tells those.
@pytest.mark.parametrize("either", ["aes-256-gcm"], indirect=True)
def test_every_flip_in_an_encrypted_pack_is_told_by_its_blobs_or_its_table(victim):
    (point,) = victim.open().points()
    for path in files(victim, "packs/*/*"):
        for place in flips(path):
            repository = victim.open()
            with pytest.raises(RepositoryDamaged):
                read(repository.open_disk(point), 0, point.size)
                repository._access.packs.table(bytes.fromhex(path.name))
                pytest.fail(f"nobody saw byte {place} of {path}")


def test_the_name_of_a_pack_is_the_digest_of_its_file(victim):
    for path in files(victim, "packs/*/*"):
        assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_damaged_chunk_is_told_with_what_it_hits(victim, helpers):
    (point,) = victim.open().points()
    device = victim.open().open_disk(point)
    where = device._where(1)
    path = victim.folder / "packs" / where.pack.hex()[:2] / where.pack.hex()
    data = bytearray(path.read_bytes())
    data[where.offset + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(RepositoryDamaged) as caught:
        read(device, helpers.CHUNK + 10, 5)
    text = str(caught.value)
    assert where.pack.hex() in text and f"at byte {where.offset}" in text
    assert f"bytes {helpers.CHUNK} to {2 * helpers.CHUNK - 1} of web01@{point.id}#disk0" in text


def test_the_rest_of_a_damaged_disk_can_be_read(victim, helpers):
    (point,) = victim.open().points()
    device = victim.open().open_disk(point)
    where = device._where(1)
    path = victim.folder / "packs" / where.pack.hex()[:2] / where.pack.hex()
    data = bytearray(path.read_bytes())
    data[where.offset] ^= 1
    path.write_bytes(data)
    assert read(device, 0, helpers.CHUNK) == victim.data[: helpers.CHUNK]


@pytest.mark.parametrize("keep", [0, 3, 36, 1000, -1])
def test_a_pack_cut_short_is_told(victim, keep):
    for path in files(victim, "packs/*/*"):
        path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RepositoryDamaged, match="pack"):
        victim.restore("web01@latest")
        repository = victim.open()
        for path in files(victim, "packs/*/*"):
            repository._access.packs.table(bytes.fromhex(path.name))


def test_a_missing_pack_is_told(victim):
    for path in files(victim, "packs/*/*"):
        path.unlink()
    with pytest.raises(RepositoryDamaged, match="this pack is missing"):
        victim.restore("web01@latest")


def test_packs_that_were_exchanged_give_no_other_bytes(victim, helpers):
    """All content is still there, under its id."""
    victim.back_up(helpers.content(3 * helpers.CHUNK, "other"))
    first, second = sorted(files(victim, "packs/*/*"), key=lambda path: path.stat().st_size)[-2:]
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert victim.restore(victim.open().points()[0].id) == victim.data


def test_a_manifest_under_another_name_is_told(victim):
    (path,) = files(victim, "backups/*/*")
    path.rename(path.with_name("20300101T000000Z-00000000"))
    (point,) = victim.open().points()
    assert re.search("another point|moved", point.problem)


def test_a_manifest_of_another_repository_is_told(victim, helpers, tmp_path):
    other = helpers.Helper(str(tmp_path / "other"), victim.encryption)
    other.create()
    other.back_up(b"x")
    (stray,) = (tmp_path / "other" / "backups").glob("*/*")
    shutil.copy(stray, files(victim, "backups/*/*")[0].parent)
    problems = [point.problem for point in victim.open().points()]
    assert sorted(problem is None for problem in problems) == [False, True]


def test_a_damaged_manifest_does_not_hide_the_others(victim):
    (path,) = files(victim, "backups/*/*")
    (path.parent / "20300101T000000Z-00000000").write_bytes(b"{")
    good, bad = victim.open().points()
    assert (good.problem, bad.created) == (None, "2030-01-01T00:00:00Z")
    assert bad.as_dict()["problem"]
    assert victim.restore(good.id) == victim.data


def test_a_backup_goes_on_beside_a_damaged_manifest(victim):
    (path,) = files(victim, "backups/*/*")
    path.write_bytes(b"")
    point = victim.back_up(victim.data).point
    assert victim.restore(point.id) == victim.data


def test_a_repository_that_lost_its_encryption_by_a_stroke_of_the_pen_is_refused(encrypted):
    plain = config.Config(encrypted.open().config.repository_id, "", "none", 1 << 20)
    forged = config.encode(plain, SubKeys(None).sign)
    for name in ("repo.json", "spare/repo.json"):
        (Path(encrypted.url) / name).write_bytes(forged)
    with pytest.raises(RepositoryDamaged, match="nothing is encrypted, but there are keys"):
        encrypted.open()


def test_the_table_of_a_pack_lists_its_blobs(victim):
    kinds = set()
    for path in files(victim, "packs/*/*"):
        rows = victim.open()._access.packs.table(bytes.fromhex(path.name))
        assert [row.offset for row in rows] == [
            36 + sum(row.length for row in rows[:number]) for number in range(len(rows))
        ]
        kinds |= {(row.kind, row.raw) for row in rows}
    assert {(BlobKind.DATA, True), (BlobKind.DATA, False)} < kinds
    assert {kind for kind, _raw in kinds} == {BlobKind.DATA, BlobKind.MAP}


def test_packs_without_any_configuration_are_no_place_for_a_new_repository(either):
    either.back_up(b"x" * 100)
    for name in ("repo.json", "spare/repo.json"):
        (Path(either.url) / name).unlink()
    with pytest.raises(RepositoryDamaged, match=r"here, but repo\.json is missing"):
        either.open()
