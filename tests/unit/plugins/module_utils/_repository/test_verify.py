# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage anywhere is found and named, whoever it hits; what is well is called well."""

from __future__ import annotations

import datetime
import itertools
import random
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import (
    quarantine,
    tomb,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.holds import (
    put_hold,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import (
    Wish,
    sample_size,
)

OFFSETS = 12  # of each object, its first and last byte among them


@pytest.fixture
def rich(either, helpers):
    """A repository with an object of every kind: two points, a hold, a tomb, a quarantine."""
    chunk = helpers.CHUNK
    either.first = b"some text " * (chunk // 10) + b"....." + helpers.content(chunk, 5)
    either.first = either.first[: 2 * chunk] + bytes(chunk) + b"the end"
    either.second = either.first[: 2 * chunk] + helpers.content(chunk, 6) + b"the end"
    points = [either.back_up(data).point for data in (either.first, either.second)]
    either.points = [point.id for point in points]
    access = either.open()._access
    put_hold(access, points[0], "for the auditors", datetime.datetime(2026, 11, 22, 2))
    gone = tomb.Tomb("0a" * 16, "2026-11-22T02:00:00Z", frozenset([b"\x01" * 32]))
    witnesses = tomb.encode_witnesses(gone.id, frozenset(), access.config, access.subkeys)
    access.store.put(gone.key, tomb.encode_tomb(gone, access.config, access.subkeys))
    access.store.put(tomb.witnesses_key(gone.id), witnesses)
    lost = quarantine.Quarantine(b"\x02" * 32, "damaged: a cable", "2026-11-22T02:00:00Z", (36,))
    data = quarantine.encode(lost, access.config, access.subkeys)
    access.store.put(quarantine.quarantine_key(lost.pack), data)
    return either


def packs(helper):
    return [bytes.fromhex(path.name) for path in sorted(Path(helper.url).glob("packs/*/*"))]


def objects(helper):
    """Key and path of every object."""
    folder = Path(helper.url)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path for path in files}


def verify(helper, level="data", **options):
    return helper.open().verify(Wish(level, **options))


def named(verified):
    return {finding.object for finding in verified.findings if finding.severity != "note"}


def flipped(data, seed):
    """The same with one bit changed, at each of a few places."""
    chance = random.Random(repr(seed))
    most = len(data) - 1
    places = {0, most, most // 2, *(chance.randrange(len(data)) for _time in range(OFFSETS))}
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        yield place, bytes(changed)


def test_a_sound_repository_is_called_sound(rich):
    for level in ("list", "packs", "data", "restore"):
        verified = verify(rich, level)
        assert verified.ok, verified.findings


def test_a_bit_flip_anywhere_in_any_object_is_found_and_named(rich):
    kinds = set()
    for key, path in objects(rich).items():
        data = path.read_bytes()
        for place, changed in flipped(data, key):
            path.write_bytes(changed)
            assert key in named(verify(rich)), f"bit of byte {place} of {key}"
        path.write_bytes(data)
        kinds.add(key.split("/")[0])
    assert {"repo.json", "spare", "packs", "backups", "holds", "tomb", "quarantine"} <= kinds
    assert verify(rich).ok


SHAPES = {
    "empty": lambda data: b"",
    "cut short by one": lambda data: data[:-1],
    "cut short by half": lambda data: data[: len(data) // 2],
    "appended to": lambda data: data + b"\0",
    "zeroed": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_object_of_another_shape_is_found_and_named(rich, shape):
    for key, path in objects(rich).items():
        data = path.read_bytes()
        path.write_bytes(SHAPES[shape](data))
        assert key in named(verify(rich)), key
        path.write_bytes(data)


def test_objects_that_were_exchanged_are_found_and_named(rich):
    everything = objects(rich)
    by_folder = {}
    for key in everything:
        by_folder.setdefault(key.split("/")[0], []).append(key)
    for keys in by_folder.values():
        for one, other in itertools.pairwise(keys):
            first, second = everything[one].read_bytes(), everything[other].read_bytes()
            everything[one].write_bytes(second)
            everything[other].write_bytes(first)
            assert {one, other} <= named(verify(rich)), (one, other)
            everything[one].write_bytes(first)
            everything[other].write_bytes(second)


@pytest.mark.parametrize("level", ["list", "packs", "data", "restore"])
def test_what_must_be_there_and_is_not_is_found_at_every_level(rich, level):
    for key, path in objects(rich).items():
        if key.split("/")[0] in ("packs", "repo.json", "spare", "keys"):
            data = path.read_bytes()
            path.unlink()
            assert key in named(verify(rich, level)), key
            path.write_bytes(data)


def test_a_stranger_is_a_note(rich):
    for name in ("packs/notes.txt", "backups/readme", "quarantine/why", "sessions/x"):
        path = Path(rich.url) / name
        path.write_text("hello")
    verified = verify(rich)
    assert verified.ok
    assert {finding.kind for finding in verified.findings} == {"stranger", "quarantine", "session"}


def test_one_restore_point_alone(rich, helpers):
    other = rich.back_up(helpers.content(3 * helpers.CHUNK, 99)).point
    (Path(rich.url) / other.key).write_bytes(b"")
    for path in Path(rich.url).glob("packs/*/*"):
        if path.stat().st_mtime_ns == max(
            p.stat().st_mtime_ns for p in path.parents[1].glob("*/*")
        ):
            path.write_bytes(b"")
    assert not verify(rich).ok
    for level in ("list", "packs", "data", "restore"):
        one = verify(rich, level, restore_point=rich.points[0])
        assert one.ok, one.findings


@pytest.mark.parametrize("level", ["packs", "data", "restore"])
def test_a_sample_can_be_taken_again(rich, level):
    first = verify(rich, level, sample="1")
    again = verify(rich, level, sample="1", seed=first.sample["seed"])
    assert first.sample == again.sample
    (kind,) = set(first.sample) - {"seed", "of"}
    assert len(first.sample[kind]) == 1


@pytest.mark.parametrize(
    ("sample", "count", "size"), [("10%", 100, 10), ("1%", 3, 1), ("100%", 3, 3), ("9", 3, 3)]
)
def test_the_size_of_a_sample(sample, count, size):
    assert sample_size(sample, count) == size


@pytest.mark.parametrize("sample", ["", "%", "-1", "0%", "1.5", "101%", "9" * 5000])
def test_a_sample_that_cannot_be(sample):
    with pytest.raises(InvalidRequest):
        sample_size(sample, 10)


def test_points_that_are_dropped_meanwhile_are_no_damage(rich, monkeypatch):
    """Verifying looks again before it says that something is missing."""
    repository = rich.open()
    gone = list(Path(rich.url).glob("packs/*/*"))
    points = list(Path(rich.url).glob("backups/*/*"))
    load_map = repository._access.load_map

    def and_then(*arguments):
        for path in points + gone:
            path.unlink(missing_ok=True)
        return load_map(*arguments)

    monkeypatch.setattr(repository._access, "load_map", and_then)
    verified = repository.verify(Wish("packs"))
    assert verified.ok, verified.findings


def test_a_backup_that_commits_meanwhile_is_no_damage(rich, helpers, monkeypatch):
    repository = rich.open()
    listed = repository._access.store.list
    once = []

    def and_then(prefix):
        found = list(listed(prefix))
        if prefix == "packs/" and not once:
            once.append(rich.back_up(helpers.content(helpers.CHUNK, "meanwhile")))
        return iter(found)

    monkeypatch.setattr(repository._access.store, "list", and_then)
    verified = repository.verify(Wish("data"))
    assert once and verified.ok, verified.findings


def test_nothing_is_read_but_small_objects_and_maps_at_level_list(rich):
    assert verify(rich, "list").bytes < 50_000 < verify(rich, "packs").bytes


def test_whom_damage_hits_is_told_to_the_byte(rich, helpers):
    chunk = helpers.CHUNK
    device = rich.open().open_disk(rich.open().points()[1])
    where = device._where(2)
    path = Path(rich.url) / "packs" / where.pack.hex()[:2] / where.pack.hex()
    data = bytearray(path.read_bytes())
    data[where.offset + 9] ^= 1
    path.write_bytes(data)
    (finding,) = [one for one in verify(rich).findings if one.severity == "error"]
    assert [tuple(hit) for hit in finding.hits] == [
        (rich.points[1], "web01", "disk0", 2 * chunk, chunk)
    ]
    assert finding.as_dict()["restore_points"] == [rich.points[1]]


def unreadable(monkeypatch, store, key_part):
    """Reads fail as those of bad sectors do."""

    def failing(read):
        def fail(key, *arguments):
            if key_part in key:
                raise DiskIOError("cannot read it: Input/output error", path=f"/somewhere/{key}")
            return read(key, *arguments)

        return fail

    for name in ("get", "read_into"):
        monkeypatch.setattr(store, name, failing(getattr(store, name)))


@pytest.mark.parametrize("level", ["packs", "data", "restore"])
def test_a_pack_that_cannot_be_read_is_damaged_too(rich, monkeypatch, level):
    repository = rich.open()
    bad = repository.points()[1].disks[0].maps[0].location.pack
    unreadable(monkeypatch, repository._access.store, bad.hex())
    verified = repository.verify(Wish(level))
    kinds = {finding.kind for finding in verified.findings if finding.severity == "error"}
    assert "pack-unreadable" in kinds and bad in verified.remedy.faults


@pytest.mark.parametrize("kind", ["backups/", "holds/", "tomb/", "spare/"])
def test_a_document_that_cannot_be_read_is_a_finding(rich, monkeypatch, kind):
    repository = rich.open()
    unreadable(monkeypatch, repository._access.store, kind)
    verified = repository.verify(Wish("list"))
    assert any(finding.object.startswith(kind) for finding in verified.findings)
    assert not verified.ok


def test_a_store_that_is_gone_is_no_damage(rich, monkeypatch):
    repository = rich.open()
    store = repository._access.store
    unreadable(monkeypatch, store, "packs/")
    monkeypatch.setattr(store, "size", lambda key: store.get("packs/"))
    with pytest.raises(DiskIOError):
        repository.verify(Wish("packs"))


def test_a_stray_file_among_tombs_is_a_note_and_hinders_no_backup(either, helpers):
    data = helpers.content(helpers.CHUNK)
    either.back_up(data)
    stray = Path(either.url, "tomb", "notes.txt")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"whose is this?")
    verified = either.open().verify(Wish(level="data"))
    assert verified.ok
    assert [(f.kind, f.severity) for f in verified.findings] == [("stranger", "note")]
    again = either.back_up(data + helpers.content(helpers.CHUNK, 1))
    assert again.warnings == () and again.transfer.bytes_reused == helpers.CHUNK
