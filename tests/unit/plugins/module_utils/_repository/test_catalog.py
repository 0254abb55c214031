# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog of a host is only ever a faster way to the same answer."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.catalog import database
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.chunk import (
    Encoded,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.pack import (
    BlobKind,
    PackWriter,
    pack_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write import (
    index as index_module,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.index import (
    load_index,
)

IDS = [bytes([number]) * 32 for number in range(12)]


def fresh(helper):
    """As the next process sees it."""
    known = helper.open()._access
    return Access(known.store, known.config, known.subkeys)


def write_pack(access, numbers):
    """The pack's name, and where each chunk is in it."""
    writer = PackWriter(access.store, access.subkeys)
    places = {}
    for number in numbers:
        encoded = Encoded(b"%d" % number * (number + 1), raw=True)
        places[IDS[number]] = writer.add(BlobKind.DATA, IDS[number], encoded)
    return writer.finish(), places


def path_of(helper, pack):
    return Path(helper.url) / pack_key(pack)


def catalog_of(tmp_path):
    return list((tmp_path / "cache").glob("*.sqlite"))


def check(access, packs, *, may_forget=False):
    """The index offers what these packs hold, and nothing else."""
    index = load_index(access)
    for chunk_id in IDS:
        known = {(name, *places[chunk_id]) for name, places in packs.items() if chunk_id in places}
        place = index.find(chunk_id)
        assert known if place else may_forget or not known
        if place is not None:
            where = index.location(chunk_id, place)
            assert (where.pack, where.number, where.offset, where.length) in known
            assert where.raw and where.id == chunk_id


PACKS = st.lists(st.integers(0, len(IDS) - 1), max_size=6)
STEPS = st.one_of(
    st.tuples(st.just("write"), PACKS),
    st.tuples(st.sampled_from(["delete", "cut", "spoil", "touch", "rename"]), st.integers(0, 99)),
    st.tuples(st.sampled_from(["lose", "truncate", "junk", "flip", "stop"]), st.integers(0, 99)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=12))
def test_the_index_is_what_the_packs_hold(either, tmp_path, steps):
    for path in (Path(either.url) / "packs").rglob("*"):
        if path.is_file():
            path.unlink()
    access, packs, spoilt = fresh(either), {}, False
    check(access, packs)
    for step, value in steps:
        if step == "write":
            name, places = write_pack(access, dict.fromkeys(value))
            packs[name] = places
        elif step == "stop":
            access = fresh(either)
        elif step in ("lose", "truncate", "junk", "flip"):
            spoil_catalog(tmp_path, step, value)
            access, spoilt = fresh(either), spoilt or step in ("flip", "truncate")
        elif packs:
            name = sorted(packs)[value % len(packs)]
            spoil_pack(path_of(either, name), step)
            if step != "touch":
                del packs[name]
        check(access, packs, may_forget=spoilt)


def spoil_pack(path, how):
    data = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(data[:-1])
    elif how == "spoil":
        path.write_bytes(data[:-8] + bytes([data[-8] ^ 1]) + data[-7:])
    elif how == "rename":
        path.with_name("stranger").write_bytes(data)
    elif how == "touch":
        path.write_bytes(data)


def spoil_catalog(tmp_path, how, value):
    for path in (tmp_path / "cache").iterdir():
        data = bytearray(path.read_bytes())
        if how == "lose":
            path.unlink()
        elif how == "truncate":
            path.write_bytes(data[: len(data) * value // 100])
        elif how == "junk":
            path.write_bytes(random.Random(value).randbytes(len(data)))
        elif data:
            chance = random.Random(value)
            for _time in range(1 + value // 5):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)


def test_rows_that_were_changed_say_nothing(either, tmp_path):
    access = fresh(either)
    name, places = write_pack(access, [3, 4, 5])
    other, _places = write_pack(access, [])
    check(access, {name: places, other: {}})
    with sqlite3.connect(*catalog_of(tmp_path)) as connection:
        connection.execute("UPDATE chunks SET offset = offset + 1 WHERE id = ?", (IDS[3],))
        connection.execute("UPDATE chunks SET pack = 3 - pack WHERE id = ?", (IDS[4],))
        connection.execute("UPDATE chunks SET length = 'x' WHERE id = ?", (IDS[5],))
    connection.close()
    check(fresh(either), {other: {}})


def test_tables_of_another_version_are_thrown_away(either, tmp_path):
    access = fresh(either)
    name, places = write_pack(access, [3])
    check(access, {name: places})
    with sqlite3.connect(*catalog_of(tmp_path)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("DROP TABLE chunks")
    connection.close()
    check(fresh(either), {name: places})
    check(fresh(either), {name: places})


def test_a_catalog_that_breaks_meanwhile_costs_only_knowledge(either, tmp_path):
    access = fresh(either)
    name, places = write_pack(access, [3])
    index = load_index(access)
    access.catalog.database.change("DROP TABLE chunks")
    assert index.find(IDS[3]) is None
    check(access, {name: places})


def test_another_repository_at_the_same_place_is_another(either, tmp_path):
    access = fresh(either)
    name, places = write_pack(access, [3])
    check(access, {name: places})
    stored = {path: path.read_bytes() for path in (tmp_path / "cache").iterdir()}
    os.rename(either.url, tmp_path / "old")
    either.create()
    check(fresh(either), {})
    for data in stored.values():  # even under the name of the other one
        for made in catalog_of(tmp_path):
            made.write_bytes(data)
    check(fresh(either), {})


@pytest.mark.parametrize(
    "folder", ["/proc/nothing", "/dev/null/nothing", "{}/repository/repo.json"]
)
def test_without_a_place_it_goes_on_in_memory(either, tmp_path, monkeypatch, folder):
    monkeypatch.setenv("VDISK_CACHE", folder.format(tmp_path))
    access = fresh(either)
    name, places = write_pack(access, [3])
    check(access, {name: places})
    assert either.back_up(b"data").created
    assert either.restore("web01@latest") == b"data"


def test_a_planted_link_is_not_followed(either, tmp_path):
    fresh(either).catalog.database.rows("SELECT 1")
    (path,) = catalog_of(tmp_path)
    path.unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    path.symlink_to(victim)
    assert either.back_up(b"data").created
    assert victim.read_bytes() == b""


def test_nobody_else_can_read_it(encrypted, tmp_path):
    encrypted.back_up(b"data")
    access = fresh(encrypted)
    load_index(access)
    files = list((tmp_path / "cache").iterdir())
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_the_catalog_of_an_encrypted_repository_names_nothing(encrypted, tmp_path):
    encrypted.back_up(b"data", name="before-upgrade")
    assert encrypted.open().points()[0].name == "before-upgrade"
    data = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert b"5f3d0a9e-web" in data  # the key of the manifest, which the repository shows too
    for secret in (b"before-upgrade", b"web01", b"lsi", b"/srv/web01.vmdk"):
        assert secret not in data


def test_many_at_once_build_one_catalog(either):
    access = fresh(either)
    packs = dict(write_pack(access, [number % len(IDS)]) for number in range(150))
    failures = []

    def run():
        try:
            check(fresh(either), packs)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_catalog_that_somebody_holds_is_not_waited_for_long(either, tmp_path, monkeypatch):
    access = fresh(either)
    check(access, {})
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    with sqlite3.connect(*catalog_of(tmp_path), isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        name, places = write_pack(access, [3])
        check(fresh(either), {name: places})
        assert either.back_up(b"data").created
        holder.execute("COMMIT")
    holder.close()
    check(fresh(either), {name: places})


def test_packs_that_are_gone_are_forgotten(either, tmp_path):
    access = fresh(either)
    name, _places = write_pack(access, [3, 4])
    load_index(access)
    path_of(either, name).unlink()
    load_index(access)
    for table in ("packs", "chunks", "maps"):
        assert access.catalog.database.rows(f"SELECT * FROM {table}") == []


def test_what_a_map_needs_is_read_again_where_its_row_was_changed(either):
    point = either.back_up(b"data").point
    access = fresh(either)
    assert load_index(access).holds(point)
    rows = access.catalog.database.rows("SELECT body FROM maps")
    access.catalog.database.change("UPDATE maps SET body = ?", [(rows[0][0][:8],)])  # no packs
    for path in (Path(either.url) / "packs").rglob("*"):
        if path.is_file() and bytes.fromhex(path.name) != point.disks[0].maps[0].location.pack:
            path.unlink()
    assert not load_index(fresh(either)).holds(point)


def test_what_was_found_is_there_until_it_was_used(either, monkeypatch, tmp_path):
    """A thread has found a chunk and does not compress it. Then the catalog is lost."""
    monkeypatch.setattr(index_module, "_REMEMBERED", 3)
    access = either.open()._access
    write_pack(access, range(5))
    index = load_index(fresh(either))
    places = {number: index.find(IDS[number]) for number in range(3)}
    found = index.find(IDS[0])  # on a thread; others go on
    index.find(IDS[3])
    index.find(IDS[4])
    for path in catalog_of(tmp_path):
        path.write_bytes(b"")
    assert index.find(IDS[0]) == found == places[0]


def test_a_catalog_whose_damage_is_quoted_is_made_anew(either, tmp_path):
    """SQLite quotes in its message what it does not understand, byte for byte."""
    access = either.open()._access
    packs = dict([write_pack(access, range(5))])
    check(fresh(either), packs)
    (path,) = catalog_of(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"tablemapsmaps", b"table\xc5apsmaps"))
    with pytest.raises(UnicodeDecodeError):
        sqlite3.connect(path).execute("SELECT * FROM maps")
    check(fresh(either), packs)
