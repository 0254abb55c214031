# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bad network before a real S3 server: never a wrong byte, never half a point, and no silence."""

from __future__ import annotations

import random
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskIOError,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import objects
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import Wish
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.retain import (
    Retention,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)
from ansible_collections.vdisk.lifecycle.tests.integration.repository.faults import (
    PASSING,
    Fault,
    always,
    first,
    sometimes,
)

CHUNK = 256 << 10
BIG = random.Random(0).randbytes(2 << 20)
REQUESTS = {
    "put": lambda store: store.put("new", BIG),
    "put small": lambda store: store.put("new", b"x" * 1000),
    "put if absent": lambda store: store.put("new", BIG[:1000], if_absent=True),
    "get": lambda store: store.get("packs/big") == BIG,
    "get a part": lambda store: store.get("packs/big", 1000, 5000) == BIG[1000:6000],
    "list": lambda store: [found.key for found in store.list("packs/")] == ["packs/big"],
    "size": lambda store: store.size("packs/big") == len(BIG),
    "delete": lambda store: store.delete("packs/big") or True,
    "sessions": lambda store: store.sessions() == (),
}


@pytest.fixture
def store(s3_url, proxy):
    made = open_store(s3_url)
    made.put("packs/big", BIG)
    proxy.done.clear()
    return made


def quiet(_request):
    return None


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_one_fault_is_survived(store, proxy, fault, request_name):
    if fault is Fault.CORRUPT_REQUEST and request_name == "delete":
        pytest.skip("SeaweedFS does not compare the checksum of a DeleteObjects; S3 does")
    proxy.plan = first(fault, 1)
    assert REQUESTS[request_name](store)
    assert proxy.faults() == 1
    proxy.plan = quiet
    if request_name.startswith("put"):
        expected = {"put": BIG, "put small": b"x" * 1000, "put if absent": BIG[:1000]}
        assert store.get("new") == expected[request_name]
    assert (store.size("packs/big") is None) == (request_name == "delete")


@pytest.mark.parametrize(
    "fault", [Fault.ERROR_503, Fault.RESET, Fault.HANGS, Fault.TRUNCATED], ids=lambda f: f.name
)
@pytest.mark.parametrize("request_name", ["put", "put if absent", "get", "list", "delete"])
def test_a_fault_that_stays_is_told_in_time(s3_url, proxy, monkeypatch, fault, request_name):
    if fault is Fault.TRUNCATED and request_name.startswith("put"):
        pytest.skip("the answer to a put has no body")
    open_store(s3_url).put("packs/big", BIG)
    monkeypatch.setattr(objects, "RETRY", {"max_retries": 2})
    monkeypatch.setattr(objects, "ANSWER", objects.ANSWER / 2)
    monkeypatch.setattr(objects, "TRANSFER", objects.TRANSFER / 4)
    store = open_store(s3_url)
    proxy.plan = always(fault)
    began = time.monotonic()
    with pytest.raises(DiskIOError, match=s3_url):
        REQUESTS[request_name](store)
    assert time.monotonic() - began < 20


def test_a_damaged_upload_is_refused_by_its_checksum(store, proxy):
    proxy.plan = always(Fault.CORRUPT_REQUEST)
    with pytest.raises(DiskIOError, match="the store says"):
        store.put("new", BIG)
    proxy.plan = quiet
    assert store.size("new") is None


def test_a_lost_answer_does_not_make_our_own_point_a_stranger(store, proxy):
    proxy.plan = first(Fault.LOST, 1, "PUT")
    assert store.put("backups/x/1", b"ours", if_absent=True)
    proxy.plan = first(Fault.LOST, 1, "PUT")
    assert not store.put("backups/x/1", b"another", if_absent=True)
    assert store.get("backups/x/1") == b"ours"


def test_a_listing_that_breaks_off_in_the_middle_goes_on(store, proxy, monkeypatch):
    monkeypatch.setattr(objects, "_PAGE", 3)
    keys = {f"many/{number:02}" for number in range(10)}
    for key in keys:
        store.put(key, b"x")
    listing = store.list("many/")
    found = [next(listing).key for _number in range(4)]
    proxy.plan = first(Fault.TRUNCATED, 1)
    found += [stored.key for stored in listing]
    assert sorted(found) == sorted(keys)


class Repo:
    """A repository behind the proxy, and what its points must restore to."""

    def __init__(self, url, retain=None):
        self.url, self.retain, self.contents = url, retain, {}
        create_repository(
            url, passphrase="correct horse", encryption="aes-256-gcm", chunk_size=CHUNK
        )

    def open(self):
        return Repository.open(self.url, "correct horse")

    def back_up(self, data):
        disk = DiskSource("disk0", "disk0.vmdk", MemoryDevice(data), "u", "/srv/web01.vmdk")
        source = Source("disk", "web", "web01")
        point = self.open().back_up([disk], source, retain=self.retain).point
        self.contents[point.id] = data

    def prune(self):
        """All but the newest go, their packs too."""
        newest = max(self.open().points(), key=lambda point: point.exact).id
        self.contents = {key: data for key, data in self.contents.items() if key == newest}
        request = PruneRequest(rules=Rules(last=1), grace=0, compact=60)
        self.open().prune(request).run()

    def restore(self, point):
        device = self.open().open_disk(point)
        return bytes(read(device, 0, device.size))

    def check(self):
        """Every point is whole; every point whose backup said so is there."""
        points = {point.id: point for point in self.open().points()}
        assert [point.problem for point in points.values() if point.problem] == []
        assert set(self.contents) <= set(points)
        for point_id, point in points.items():
            data = self.restore(point)
            assert data == self.contents.get(point_id, data)


def contents(seed):
    dice = random.Random(seed)
    data = bytearray(dice.randbytes(4 * CHUNK))
    while True:
        yield bytes(data)
        start = dice.randrange(len(data) - CHUNK)
        data[start : start + CHUNK] = dice.randbytes(CHUNK)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_backups_and_restores_live_with_it(s3_url, proxy, fault):
    proxy.slow = 0.2
    repo, data = Repo(s3_url), contents(fault.name)
    # What hangs costs a time-out each time.
    proxy.plan = sometimes(1, (fault,), 0.02 if fault is Fault.HANGS else 0.1)
    for _number in range(2):
        repo.back_up(next(data))
    repo.check()
    assert proxy.faults() > 0


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.LOST, Fault.TRUNCATED], ids=str)
def test_prune_and_verify_live_with_it(s3_url, proxy, fault):
    repo, data = Repo(s3_url), contents(fault.name)
    for _number in range(2):
        repo.back_up(next(data))
    packs = len(list(open_store(s3_url).list("packs/")))
    proxy.plan = sometimes(2, (fault,), 0.1)
    for _phase in range(3):
        repo.prune()
    assert repo.open().verify(Wish(level="data")).ok
    repo.check()
    assert proxy.faults() > 0
    proxy.plan = quiet
    assert len(repo.open().points()) == 1
    assert len(list(open_store(s3_url).list("packs/"))) < packs
    kinds = {stored.key.partition("/")[0] for stored in open_store(s3_url).list("")}
    assert kinds.isdisjoint(("tomb", "locks", "sessions"))


@pytest.mark.parametrize("retain", [None, Retention(86400)], ids=["pruned", "retained"])
def test_everything_at_once_harms_nothing(locked_url, proxy, retain):
    """Damaged answers too: those may end a run, but with words, and nothing wrong stays."""
    repo, data = Repo(locked_url, retain), contents(1)
    kinds = tuple(fault for fault in Fault if fault not in (Fault.HANGS, Fault.SLOW, Fault.KEPT))
    proxy.plan = sometimes(3, kinds, 0.12)
    for _number in range(2):
        try:
            repo.back_up(next(data))
            if retain is None:
                repo.prune()
        except DiskError as error:
            assert len(str(error)) > 20
        for point_id, expected in repo.contents.items():
            try:
                (point,) = [found for found in repo.open().points() if found.id == point_id]
                if point.problem is None:
                    assert repo.restore(point) == expected
            except (DiskError, ValueError):  # told; below it must be there
                continue
    assert proxy.faults() > 5
    proxy.plan = quiet
    repo.back_up(next(data))
    repo.check()
    assert repo.open().verify(Wish(level="data")).ok


def test_packs_that_the_store_keeps_are_passed_over_and_told(s3_url, proxy):
    repo, data = Repo(s3_url), contents("kept")
    for _number in range(2):
        repo.back_up(next(data))
    repo.prune()
    proxy.plan = lambda request: Fault.KEPT if b"/packs/" in request.start else None
    for _phase in range(2):
        pruned = repo.open().prune(PruneRequest(grace=0)).run()
        if pruned.locked:
            break
    assert pruned.locked == proxy.faults() >= 1
    assert pruned.survey.as_dict()["deleted"] == 0
    repo.check()
    proxy.plan = quiet
    packs = len(list(open_store(s3_url).list("packs/")))
    for _phase in range(3):
        repo.prune()
    assert len(list(open_store(s3_url).list("packs/"))) < packs
    repo.check()
