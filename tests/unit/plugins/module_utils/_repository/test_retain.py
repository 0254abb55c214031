# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is locked for a retained point, and what is known to be locked already."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.manifest import (
    decode,
    encode,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.pack import (
    pack_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read.points import (
    load_points,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write import retain
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.retain import (
    Retainer,
    Retention,
)

DAY = 86400
WISH = Retention(30 * DAY)


class Bucket:
    """Notes until when each object is locked."""

    def __init__(self):
        self.locks, self.asked = {}, []

    def check(self):
        pass

    def extend(self, keys, until):
        keys = list(keys)
        self.asked.append({key for key in keys if key.startswith("packs/")})
        for key in keys:
            self.locks[key] = max(self.locks.get(key, until), until)


@pytest.fixture
def bucket(monkeypatch):
    made = Bucket()
    monkeypatch.setattr(retain, "object_lock", lambda _store, _mode: made)
    return made


def night(number):
    return f"{datetime.datetime(2026, 1, 1) + datetime.timedelta(days=number):%Y-%m-%dT%H:%M:%S}Z"


def packs_needed(access, point):
    packs = set()
    for disk in point.disks:
        for group, ref in enumerate(disk.maps):
            if ref is not None:
                entries = access.load_map(disk, group)
                packs |= {ref.location.pack, *(entry.pack for entry in entries if entry)}
    return {f"packs/{pack.hex()[:2]}/{pack.hex()}" for pack in packs}


def test_each_night_all_that_is_needed_is_locked_for_long_enough(encrypted, helpers, bucket):
    data = bytearray(helpers.content(6 * helpers.CHUNK))
    access, earlier, nightly = encrypted.open()._access, [], []
    for number in range(20):
        if number % 3 == 1:  # on other nights nothing has changed
            data[number * 9000 : number * 9000 + 10] = b"0123456789"
        point = encrypted.back_up(bytes(data)).point
        bucket.asked.clear()
        point = Retainer(access, WISH, night(number)).secure(point, earlier)
        earlier.append(point)
        assert point.retain_until == night(number + 30)
        needed = packs_needed(access, point) | {"repo.json"}
        for key in needed:
            until = bucket.locks[key].strftime("%Y-%m-%dT%H:%M:%SZ")
            assert until >= point.locked_until >= point.retain_until
        nightly.append(len(bucket.asked[0]))
    assert nightly[0] >= 2
    assert sum(count > 4 for count in nightly) <= 3  # not every night all of them


def test_packs_of_a_point_whose_locks_end_too_early_are_locked_again(encrypted, helpers, bucket):
    access = encrypted.open()._access
    point = encrypted.back_up(helpers.content(3 * helpers.CHUNK)).point
    first = Retainer(access, Retention(DAY), night(0)).secure(point, [])
    bucket.asked.clear()
    Retainer(access, WISH, night(0)).secure(point, [first])
    assert bucket.asked == [packs_needed(access, point)]


@pytest.mark.parametrize("part", ["manifest", "map"])
def test_an_earlier_point_that_cannot_be_read_costs_more_locks(encrypted, helpers, bucket, part):
    data = helpers.content(3 * helpers.CHUNK)
    access = encrypted.open()._access
    first = Retainer(access, WISH, night(0)).secure(encrypted.back_up(data).point, [])
    (ref,) = first.disks[0].maps
    point = encrypted.back_up(b"x" + data[1:]).point
    if part == "map":
        access.store.put(pack_key(ref.location.pack), b"")
        first = dataclasses.replace(first, locked_until=night(99))
    else:
        (listed,) = load_points(access)[:1]
        access.store.put(first.key, b"")
        first = dataclasses.replace(listed, locked_until=night(99))
    bucket.asked.clear()
    point = Retainer(access, WISH, night(0)).secure(point, [first])
    assert bucket.asked == [packs_needed(access, point)]
    assert point.locked_until <= night(38)


def test_a_point_says_how_long_it_stays(either, helpers):
    point = either.back_up(helpers.content(helpers.CHUNK), retain=WISH).point
    (found,) = either.open().points()
    assert found.retain_until == point.retain_until
    assert found.as_dict()["retain_until"] == point.retain_until
    assert "retain_until" not in either.back_up(b"x").point.as_dict()


@pytest.mark.parametrize("member", ["retain_until", "locked_until"])
def test_a_day_that_is_none_is_damage(either, member):
    access = either.open()._access
    point = dataclasses.replace(either.back_up(b"x").point, **{member: "tomorrow"})
    data = encode(point, access.config, access.subkeys)
    with pytest.raises(RepositoryDamaged, match=member):
        decode(point.key, data, access.config, access.subkeys, "here")
