# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage is put into quarantine, and the next backup heals it, old restore points included."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.quarantine import (
    quarantined,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import Wish

SPARED = ("repo.json", "keys", "spare")


@pytest.fixture
def victim(either, helpers):
    """A repository with one point: chunks with text, noise and zeros."""
    chunk = helpers.CHUNK
    either.data = b"some text " * (chunk // 10) + helpers.content(2 * chunk, 5) + bytes(chunk)
    either.point = either.back_up(either.data).point.id
    return either


def pack_files(helper):
    return sorted(Path(helper.url).glob("packs/*/*"))


def verify(helper, level="data", **options):
    return helper.open().verify(Wish(level, **options))


def quarantine(helper, level="data"):
    """What vmdk_verify does with quarantine: true."""
    repository = helper.open()
    verified = repository.verify(Wish(level, quarantine=True))
    repository.apply(verified.remedy)
    return verified


def flip(data, place, bit=0):
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


DAMAGE = {
    "magic": lambda data: flip(data, 1),
    "salt": lambda data: flip(data, 20, 3),
    "first blob": lambda data: flip(data, 40, 7),
    "middle": lambda data: flip(data, len(data) // 2),
    "table": lambda data: flip(data, len(data) - 25),
    "length of the table": lambda data: flip(data, len(data) - 4, 6),
    "cut short": lambda data: data[: len(data) // 2],
    "cut short by one": lambda data: data[:-1],
    "empty": lambda data: b"",
    "appended to": lambda data: data + b"more",
    "overwritten": lambda data: random.Random(1).randbytes(len(data)),
}


def harm(path, how):
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGE[how](path.read_bytes()))


@pytest.mark.parametrize("how", [*DAMAGE, "missing"])
@pytest.mark.parametrize("level", ["packs", "data"])
@pytest.mark.parametrize("which", [0, 1], ids=["chunks", "map"])
def test_the_next_backup_heals_a_pack(victim, which, how, level):
    path = sorted(pack_files(victim), key=lambda path: -path.stat().st_size)[which]
    harm(path, how)
    found = quarantine(victim, level)
    assert [one.object for one in found.findings] == [f"packs/{path.parent.name}/{path.name}"]
    assert not found.ok
    victim.back_up(victim.data)
    assert victim.restore(victim.point) == victim.data
    assert victim.restore("web01@latest") == victim.data
    for after in (verify(victim, level), verify(victim, "restore")):
        assert after.ok, after.findings


@pytest.mark.parametrize("how", [*DAMAGE, "missing"])
def test_a_restore_to_nothing_finds_what_it_meets(victim, how):
    for path in pack_files(victim):
        whole = path.read_bytes()
        harm(path, how)
        found = verify(victim, "restore").findings
        # A restore uses no table, nor a salt without encryption. The other levels look at those.
        unused = "table" in how or (how == "salt" and victim.encryption == "none")
        if not unused and how not in ("appended to", "cut short by one"):
            assert any(one.object.endswith(path.name) for one in found), found
        path.write_bytes(whole)


def test_all_packs_at_once(victim):
    for path in pack_files(victim):
        path.unlink()
    quarantine(victim)
    point = victim.back_up(victim.data).point.id
    assert victim.restore(point) == victim.data
    hits = [hit for finding in verify(victim, "restore").findings for hit in finding.hits]
    assert {hit.point for hit in hits} == {victim.point}  # its map is lost, so it is


def test_what_nobody_has_any_more_stays_lost_and_is_said(victim, helpers):
    (where,) = {victim.open().open_disk(victim.open().points()[0])._where(2)}
    path = Path(victim.url) / "packs" / where.pack.hex()[:2] / where.pack.hex()
    path.write_bytes(flip(path.read_bytes(), where.offset + 5))
    quarantine(victim)
    chunk = helpers.CHUNK
    newer = victim.data[: 2 * chunk] + helpers.content(chunk, "new") + victim.data[3 * chunk :]
    point = victim.back_up(newer).point
    verified = verify(victim)
    (finding,) = [one for one in verified.findings if one.severity == "error"]
    assert finding.object.endswith(where.pack.hex()) and finding.offset == where.offset
    (hit,) = finding.hits
    assert (hit.point, hit.disk, hit.offset, hit.length) == (
        victim.point,
        "disk0",
        2 * chunk,
        chunk,
    )
    assert victim.restore(point.id) == newer
    with pytest.raises(RepositoryDamaged):
        victim.restore(victim.point)


def test_a_pack_that_is_well_again_is_used_again(victim):
    path = pack_files(victim)[0]
    data = path.read_bytes()
    path.write_bytes(flip(data, 50))
    quarantine(victim)
    assert path.name in {pack.hex() for pack in quarantined(victim.open()._access.store)}
    path.write_bytes(data)  # it was a cable
    quarantine(victim, "packs")
    assert quarantined(victim.open()._access.store) == frozenset()
    assert victim.back_up(victim.data).transfer.bytes_reused > 0
    assert len(pack_files(victim)) == 2


def test_verify_alone_writes_nothing(victim, snapshot):
    pack_files(victim)[0].unlink()
    (Path(victim.url) / "spare" / "repo.json").write_bytes(b"")
    before = snapshot(victim.url)
    for level in ("list", "packs", "data", "restore"):
        assert not verify(victim, level, quarantine=True).ok
    assert snapshot(victim.url) == before


def test_list_finds_missing_and_short_packs_and_puts_them_into_quarantine(victim):
    for path, data in zip(pack_files(victim), (None, b"short"), strict=True):
        path.unlink()
        if data:
            path.write_bytes(data)
    kinds = {finding.kind for finding in quarantine(victim, "list").findings}
    assert kinds & {"pack-missing", "pack-short"}
    assert len(quarantined(victim.open()._access.store)) >= 1


def test_other_disks_heal_a_chunk_too(victim, helpers):
    where = victim.open().open_disk(victim.open().points()[0])._where(1)
    path = Path(victim.url) / "packs" / where.pack.hex()[:2] / where.pack.hex()
    path.write_bytes(flip(path.read_bytes(), where.offset))
    quarantine(victim)
    other = helpers.content(helpers.CHUNK, 5 * 7)
    mine = victim.data[helpers.CHUNK : 2 * helpers.CHUNK]
    source = type(helpers.WEB)("disk", "another", "db01")
    victim.back_up(other + mine, source)
    assert victim.restore(victim.point) == victim.data


# What opens the repository


def test_one_of_two_copies_is_enough_to_open_and_restore(victim):
    for pattern in ("repo.json", "keys/*", "spare/repo.json", "spare/keys/*"):
        for path in Path(victim.url).glob(pattern):
            data = path.read_bytes()
            for place in (0, 30, len(data) // 2, len(data) - 90, len(data) - 10, len(data) - 1):
                path.write_bytes(flip(data, place, 2))
                assert victim.restore(victim.point) == victim.data, (path, place)
            path.unlink()
            assert victim.restore(victim.point) == victim.data, path
            path.write_bytes(data)


@pytest.mark.parametrize("how", ["missing", "flipped"])
@pytest.mark.parametrize("by", ["backup", "verify"])
def test_a_damaged_copy_is_put_back_from_its_twin(victim, how, by, snapshot):
    files = [path for name in SPARED for path in Path(victim.url).glob(f"{name}*")]
    files = [f for path in files for f in (path.rglob("*") if path.is_dir() else [path])]
    for path in (path for path in files if path.is_file()):
        data = path.read_bytes()
        path.unlink() if how == "missing" else path.write_bytes(flip(data, 20))
        if by == "backup":
            victim.back_up(victim.data)
        else:
            assert not quarantine(victim, "list").ok
        assert path.read_bytes() == data
    assert verify(victim, "list").ok


def test_both_copies_lost_is_said(victim):
    for path in (Path(victim.url) / "repo.json", Path(victim.url) / "spare" / "repo.json"):
        path.write_bytes(flip(path.read_bytes(), 60))
    with pytest.raises(RepositoryDamaged, match=r"repo\.json"):
        victim.open()


def test_a_key_that_was_taken_away_does_not_come_back(encrypted, helpers):
    repository = encrypted.open()
    old = next(Path(encrypted.url).glob("keys/*")).name
    repository.add_key("another")
    access = repository._access
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys

    keys.remove_key(access.store, old.partition(".")[0])
    again = type(repository).open(encrypted.url, "another")
    again.back_up([helpers.disk(b"data")], helpers.WEB)
    assert not list(Path(encrypted.url).rglob(old))


def test_a_repository_whose_repo_json_was_lost_is_not_made_anew(victim):
    (Path(victim.url) / "repo.json").unlink()
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskExists

    with pytest.raises(DiskExists):
        victim.create()
    assert victim.open().points()


def test_a_damaged_manifest_loses_its_point_only(victim):
    (path,) = Path(victim.url).glob("backups/*/*")
    shutil.copy(path, path.parent.parent.parent / "kept")
    path.write_bytes(flip(path.read_bytes(), 100))
    (finding,) = verify(victim).findings
    assert (finding.kind, finding.severity) == ("manifest", "error")
    assert finding.object.endswith(path.name)
    (Path(victim.url) / "kept").unlink()
    victim.back_up(victim.data)
    assert victim.restore("web01@latest") == victim.data


def harm_something(helper, chance):
    """Damage of any kind to a few objects; never to both copies of one."""
    folder = Path(helper.url)
    files = sorted(
        path
        for name in ("packs", "backups", "repo.json", "keys")
        for path in folder.glob(f"{name}*")
    )
    files = sorted(f for path in files for f in ([path] if path.is_file() else path.rglob("*")))
    for path in chance.sample([f for f in files if f.is_file()], chance.randint(1, 3)):
        data = path.read_bytes()
        how = chance.choice([*DAMAGE, "missing", "bit", "bit", "bit"])
        if path.parts[-3] == "backups" or path.parent.name in ("keys", folder.name):
            how = "bit"  # their other shapes: see test_verify.py
        if how == "missing":
            path.unlink()
        elif how == "bit":
            path.write_bytes(flip(data, chance.randrange(len(data)), chance.randrange(8)))
        else:
            path.write_bytes(DAMAGE[how](data))


@pytest.mark.parametrize("seed", range(12))
def test_verify_and_restore_agree_whatever_happens(either, helpers, seed):
    """No restore gives other bytes, verifying says which fail, and the next backup is whole."""
    chance = random.Random(seed)
    chunks = [helpers.content(helpers.CHUNK, number) for number in range(6)]
    contents = {}
    for _night in range(3):
        data = b"".join(chance.choices([*chunks, bytes(helpers.CHUNK)], k=5)) + b"end"
        contents[either.back_up(data).point.id] = data
    for _round in range(2):
        harm_something(either, chance)
        quarantine(either, chance.choice(["packs", "data"]))
        data = b"".join(chance.choices(chunks, k=5))
        contents[newest := either.back_up(data).point.id] = data
        verified = verify(either)
        named = {hit.point for finding in verified.findings for hit in finding.hits}
        named |= {f.object.split("/")[-1] for f in verified.findings if f.kind == "manifest"}
        lost = set()
        for point, data in contents.items():
            try:
                assert either.restore(point) == data
            except RepositoryDamaged:
                lost.add(point)
        assert lost == named and newest not in lost
        assert verified.ok == (not lost), verified.findings
