# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points in a second repository: the same points, proven, and never half of one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    InvalidRequest,
    RepositoryDamaged,
    RestorePointNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import chunk, pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import local
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source
from ansible_collections.vdisk.lifecycle.tests.examples import some
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.dying import (
    Cut,
    DyingStore,
)

KINDS = ["aes-256-gcm", "none"]
OTHER = Source("disk", "77b1-db", "db01")


@pytest.fixture(
    params=[
        ("aes-256-gcm", "aes-256-gcm", "the same master key"),
        ("aes-256-gcm", "aes-256-gcm", "another master key"),
        ("aes-256-gcm", "none", ""),
        ("none", "aes-256-gcm", ""),
        ("none", "none", ""),
    ],
    ids=["same-key", "other-key", "to-plain", "from-plain", "both-plain"],
)
def pair(request, tmp_path, helpers):
    """A repository, and an empty one to copy to."""
    encryption, other_encryption, key = request.param
    source = helpers.Helper(str(tmp_path / "repository"), encryption)
    target = helpers.Helper(str(tmp_path / "target"), other_encryption)
    source.create()
    create_repository(
        target.url,
        passphrase=target.passphrase,
        encryption=other_encryption,
        chunk_size=helpers.CHUNK,
        master_of=source.open() if key.startswith("the same") else None,
    )
    return source, target


@pytest.fixture
def either(pair):
    return pair[0]


@pytest.fixture
def target(pair):
    return pair[1]


def copy(source, target, points=(), sources=()):
    here, there = source.open(), target.open()
    missing = here.missing_in(there, points, sources)
    return here.copy_points(there, missing).points


@pytest.fixture
def contents(helpers):
    """Three states of a disk, with zeros, text, noise, a short last chunk."""
    chunk = helpers.CHUNK
    text = b"GET /index.html 200\n" * (chunk // 20)
    first = helpers.content(2 * chunk) + bytes(chunk) + text + helpers.content(12_345, 1)
    second = first[:chunk] + helpers.content(chunk, 2) + first[2 * chunk :]
    return [first, second, second[: 3 * chunk] + first[:chunk] + second[4 * chunk :]]


def back_up_all(helper, contents, source=None):
    options = {} if source is None else {"source": source}
    return [
        helper.back_up(content, name=f"n{number}", **options).point
        for number, content in enumerate(contents)
    ]


def test_every_point_arrives_with_its_content(either, target, contents):
    points = back_up_all(either, contents)
    assert [point.id for point in copy(either, target)] == [point.id for point in points]
    for point, content in zip(points, contents, strict=True):
        assert target.restore(f"web01@{point.id}") == content


def test_what_is_known_of_a_point_stays(either, target, contents):
    (point,) = back_up_all(either, contents[:1])
    copy(either, target)
    (made,) = target.open().points()
    for name in ("id", "name", "exact", "clock", "source", "key"):
        assert getattr(made, name) == getattr(point, name)
    for name in ("name", "label", "uuid", "path", "size", "method", "facts", "bytes_read"):
        assert getattr(made.disks[0], name) == getattr(point.disks[0], name)
    assert made.repository == target.url


def test_a_second_run_changes_nothing(either, target, contents, snapshot):
    back_up_all(either, contents)
    copy(either, target)
    before = snapshot(target.url)
    assert copy(either, target) == []
    assert snapshot(target.url) == before


def test_only_what_was_chosen_is_copied(either, target, contents):
    back_up_all(either, contents)
    back_up_all(either, contents[:2], OTHER)
    assert [p.name for p in copy(either, target, ["web01@n1", "db01@latest"])] == ["n1", "n1"]
    assert {p.source_name for p in copy(either, target, [], ["db01"])} == {"db01"}
    assert [p.name for p in copy(either, target, ["web01@latest"])] == ["n2"]
    assert [p.name for p in copy(either, target)] == ["n0"]
    assert [p.name for p in target.open().points("web01")] == ["n0", "n1", "n2"]


def test_what_is_chosen_must_be_there(either, target, contents):
    back_up_all(either, contents[:1])
    with pytest.raises(RestorePointNotFound):
        copy(either, target, ["web01@nonsense"])
    with pytest.raises(InvalidRequest, match=r"no restore points of 'web02'.*web01"):
        copy(either, target, [], ["web02"])


def test_another_chunk_size_is_refused(either, tmp_path, helpers):
    target = create_repository(str(tmp_path / "t"), encryption="none", chunk_size=1 << 20)
    with pytest.raises(InvalidRequest, match="same chunk_size"):
        either.open().missing_in(target, [], [])


def test_a_repository_is_not_copied_to_itself(either):
    with pytest.raises(InvalidRequest, match="itself"):
        either.open().missing_in(either.open(), [], [])


def test_nothing_is_compressed_again(either, target, contents, monkeypatch):
    back_up_all(either, contents)
    sizes = []
    compress = chunk.Codec.compress
    monkeypatch.setattr(
        chunk.Codec,
        "compress",
        lambda self, data: sizes.append(data.nbytes) or compress(self, data),
    )
    copy(either, target)
    assert sizes and max(sizes) <= 76 * 8  # maps only


def test_with_the_same_master_key_no_chunk_is_decompressed(
    encrypted, tmp_path, helpers, contents, monkeypatch
):
    back_up_all(encrypted, contents)
    target = helpers.Helper(str(tmp_path / "target"), "aes-256-gcm")
    create_repository(
        target.url,
        passphrase=target.passphrase,
        encryption="aes-256-gcm",
        chunk_size=helpers.CHUNK,
        master_of=encrypted.open(),
    )
    expanded = []
    expand = chunk.Codec.expand
    monkeypatch.setattr(
        chunk.Codec,
        "expand",
        lambda self, stored, raw, to: expanded.append(to.nbytes) or expand(self, stored, raw, to),
    )
    copy(encrypted, target)
    assert expanded and max(expanded) <= 76 * 8


def test_what_did_not_change_is_not_read_again(either, target, helpers, monkeypatch):
    data = helpers.content(8 * helpers.CHUNK)
    either.back_up(data)
    copy(either, target)
    either.back_up(data[: -helpers.CHUNK] + helpers.content(helpers.CHUNK, 3))
    read = []
    frame = pack.PackReader.frame
    monkeypatch.setattr(
        pack.PackReader,
        "frame",
        lambda self, where: read.append(where.length) or frame(self, where),
    )
    copy(either, target)
    assert len([length for length in read if length > helpers.CHUNK // 2]) == 1


def test_equal_chunks_are_stored_once(either, target, contents):
    back_up_all(either, contents)
    back_up_all(either, contents, OTHER)
    copy(either, target)
    stored = [helper.open().stats()["stored"] for helper in (either, target)]
    assert stored[1] == pytest.approx(stored[0], rel=0.01)


def pack_of(helper, point, number):
    where = helper.open().open_disk(point)._where(number)
    return Path(helper.url, "packs", where.pack.hex()[:2], where.pack.hex()), where


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_a_damaged_chunk_fails_its_points_by_name_and_the_others_go_on(
    either, target, contents, helpers
):
    points = back_up_all(either, contents)
    path, where = pack_of(either, points[1], 1)  # the second and third point have this chunk
    flip(path, where.offset + 100)
    with pytest.raises(RepositoryDamaged) as caught:
        copy(either, target)
    text = str(caught.value)
    assert "2 of 3 restore points could not be copied" in text
    assert f"web01@{points[1].id}" in text and f"web01@{points[2].id}" in text
    assert f"web01@{points[0].id}" not in text
    assert [point.id for point in target.open().points()] == [points[0].id]
    assert target.restore("web01@latest") == contents[0]


def test_a_damaged_manifest_fails_its_point_only(either, target, contents):
    points = back_up_all(either, contents)
    flip(Path(either.url, points[0].key), 60)
    with pytest.raises(RepositoryDamaged, match="1 of 3"):
        copy(either, target)
    assert [point.id for point in target.open().points()] == [point.id for point in points[1:]]


def test_a_chunk_that_another_pack_holds_too_is_taken_from_there(either, target, helpers):
    data = helpers.content(2 * helpers.CHUNK)
    point = either.back_up(data).point
    path, where = pack_of(either, point, 0)
    good = path.read_bytes()
    flip(path, where.offset + 100)
    either.back_up(data, OTHER, mode="full")  # stores the damaged chunk again
    assert path.read_bytes() != good
    assert len(copy(either, target)) == 2
    assert target.restore("web01@latest") == target.restore("db01@latest") == data


def test_a_name_that_the_target_has_for_another_point_is_told(either, target, contents):
    either.back_up(contents[0], name="same")
    target.back_up(contents[1], name="same")
    with pytest.raises(RepositoryDamaged, match="another restore point 'same'"):
        copy(either, target)
    assert len(target.open().points()) == 1


def test_backups_go_on_in_the_copy(either, target, contents):
    back_up_all(either, contents[:2])
    copy(either, target)
    made = target.back_up(contents[2], name="here").point
    assert made.disks[0].method == "incremental"
    assert target.restore("web01@here") == contents[2]


def test_many_groups(either, target, helpers, tmp_path):
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice

    group = 1024 * helpers.CHUNK
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        for number, offset in enumerate((0, group - 5, 2 * group + 77777)):
            file.seek(offset)
            file.write(helpers.content(1000, number))
    either.back_up(RawDevice.open(image))
    copy(either, target)
    repository = target.open()
    point, _disk = repository.find("web01@latest")
    device = repository.open_disk(point)
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read

    for number, offset in enumerate((0, group - 5, 2 * group + 77777)):
        assert bytes(read(device, offset, 1000)) == helpers.content(1000, number)
    assert device.size == image.stat().st_size
    assert sum(run.length for run in device.extents() if run.kind.name == "DATA") < 5 * (1 << 20)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("encryption", KINDS)
def test_a_copy_cut_at_every_write_goes_on(
    encrypted, helpers, tmp_path, contents, monkeypatch, after, encryption
):
    monkeypatch.setattr(pack, "LARGEST", 2 * helpers.CHUNK)  # several packs
    points = back_up_all(encrypted, contents)
    target = helpers.Helper(str(tmp_path / "target"), encryption)
    target.create()
    for operation in some(range(1, 100)):
        helper = helpers.Helper(str(tmp_path / f"copy{operation}"), encryption)
        shutil.copytree(target.url, helper.url)
        finished = copy_until(operation, after, encrypted, helper)
        made = helper.open().points()
        assert [point.id for point in made] == [point.id for point in points[: len(made)]]
        for point, content in zip(made, contents, strict=False):
            assert helper.restore(f"web01@{point.id}") == content
        copy(encrypted, helper)
        for point, content in zip(points, contents, strict=True):
            assert helper.restore(f"web01@{point.id}") == content
        shutil.rmtree(helper.url)
        if finished:
            break
    assert finished and operation > 10


def copy_until(operation, after, source, helper):
    store = DyingStore(helper.url, reads=False)
    there = Repository.from_store(store, helper.passphrase)
    store.arm(operation, after)
    here = source.open()
    try:
        here.copy_points(there, here.missing_in(there, [], []))
    except Cut:
        return False
    return True


def test_a_copy_while_the_source_is_backed_up(encrypted, helpers, tmp_path, contents):
    target = helpers.Helper(str(tmp_path / "target"), "none")
    target.create()
    back_up_all(encrypted, contents[:1])
    here, there = encrypted.open(), target.open()
    missing = here.missing_in(there, [], [])
    encrypted.back_up(contents[1], name="meanwhile")
    assert len(here.copy_points(there, missing).points) == 1
    assert [point.name for point in copy(encrypted, target)] == ["meanwhile"]
    assert target.restore("web01@meanwhile") == contents[1]


def test_two_copies_at_once(either, target, contents):
    back_up_all(either, contents)
    here, there = either.open(), target.open()
    missing = here.missing_in(there, [], [])
    assert len(copy(either, target)) == 3
    assert here.copy_points(there, missing).points == []
    assert len(target.open().points()) == 3


def test_a_copy_that_was_taken_for_dead_commits_nothing(either, target, contents, monkeypatch):
    back_up_all(either, contents)
    monkeypatch.setattr(local.LocalSession, "is_alive", lambda _self: False)
    with pytest.raises(DiskInUse, match="taken for dead"):
        copy(either, target)
    assert target.open().points() == []
