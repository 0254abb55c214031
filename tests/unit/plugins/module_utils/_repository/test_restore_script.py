# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/restore.py alone restores what the collection backed up."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.sealed import seal
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.subkeys import (
    checksum,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import Wish
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source

SCRIPT = Path(__file__).parents[5] / "docs" / "restore.py"
HOW = ("missing", "short", "changed", "changed")


@pytest.fixture
def data(helpers):
    chunk = helpers.CHUNK
    text = b"GET /index.html 200\n" * (chunk // 10)
    return helpers.content(chunk) + bytes(3 * chunk) + text + helpers.content(12_345, 1) + bytes(9)


def run_alone(helper, *arguments, **environment):
    """As a user runs it: PYTHONPATH is not set, so the collection is not there."""
    if helper.passphrase and not environment:
        environment = {"VDISK_PASSPHRASE": helper.passphrase}
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), helper.url, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def restore(monkeypatch, capsys):
    """The same in this process, which takes a tenth of the time."""
    spec = importlib.util.spec_from_file_location("restore", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(helper, point, disk, output, **environment):
        if helper.passphrase and not environment:
            environment = {"VDISK_PASSPHRASE": helper.passphrase}
        for name in ("VDISK_PASSPHRASE", "VDISK_KEY_FILE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        try:
            script.main(helper.url, point, disk, str(output))
            end = 0
        except SystemExit as error:
            end = error.code
        told = capsys.readouterr().err + (f"{end}\n" if end else "")
        return types.SimpleNamespace(returncode=int(bool(end)), stderr=told)

    return run


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_it_restores_every_point(either, data, tmp_path):
    changed = b"changed" + data[7:]
    for content in (data, changed):
        point = either.back_up(content).point
        result = run_alone(either, point.id, "disk0", tmp_path / point.id)
        assert result.returncode == 0, result.stderr
        assert sha256((tmp_path / point.id).read_bytes()) == sha256(content)


def test_it_finds_a_point_by_its_name(restore, either, data, tmp_path):
    either.back_up(data, name="vor dem Update, 50 %")
    result = restore(either, "vor dem Update, 50 %", "disk0", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert sha256((tmp_path / "out").read_bytes()) == sha256(data)


def test_it_restores_a_disk_of_several_maps(restore, either, helpers, tmp_path):
    group = 1024 * helpers.CHUNK
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        for number, offset in enumerate((0, group - 5, group + 77777)):
            file.seek(offset)
            file.write(helpers.content(1000, number))
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice

    point = either.back_up(RawDevice.open(image)).point
    result = restore(either, point.id, "disk0", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert subprocess.run(["cmp", image, tmp_path / "out"], check=False).returncode == 0
    assert (tmp_path / "out").stat().st_blocks * 512 < 4 << 20


# What opens it


@pytest.mark.parametrize("secret", [{"VDISK_PASSPHRASE": "wrong"}, {"VDISK_PASSPHRASE": ""}])
def test_it_refuses_a_wrong_passphrase(restore, encrypted, data, tmp_path, secret):
    point = encrypted.back_up(data).point
    result = restore(encrypted, point.id, "disk0", tmp_path / "out", **secret)
    assert result.returncode
    text = "with this" if secret["VDISK_PASSPHRASE"] else "without a"
    assert f"no repository that opens {text} passphrase or key file" in result.stderr
    assert list(tmp_path.glob("out*")) == []


def test_it_refuses_a_repository_without_encryption_in_place_of_yours(restore, tmp_path, helpers):
    planted = helpers.Helper(str(tmp_path / "planted"), "none")
    planted.create()
    point = planted.back_up(b"malware").point
    secret = {"VDISK_PASSPHRASE": helpers.PASSPHRASE}
    assert restore(planted, point.id, "disk0", tmp_path / "out", **secret).returncode
    assert restore(planted, point.id, "disk0", tmp_path / "out").returncode == 0


def test_a_key_file_opens_it_and_another_does_not(restore, encrypted, data, tmp_path):
    for name in ("nightly", "other"):
        (tmp_path / name).write_bytes(name.encode() * 50)
    encrypted.open().add_key((tmp_path / "nightly").read_bytes(), "nightly")
    point = encrypted.back_up(data).point
    (other, good) = ({"VDISK_KEY_FILE": str(tmp_path / name)} for name in ("other", "nightly"))
    assert restore(encrypted, point.id, "disk0", tmp_path / "out", **other).returncode
    assert run_alone(encrypted, point.id, "disk0", tmp_path / "out", **good).returncode == 0
    assert (tmp_path / "out").read_bytes() == data


def test_it_refuses_a_newer_format(restore, either, data, tmp_path):
    point = either.back_up(data).point
    for path in (Path(either.url) / "repo.json", Path(either.url) / "spare" / "repo.json"):
        path.write_bytes(path.read_bytes().replace(b'"min_reader": 1', b'"min_reader": 2'))
    result = restore(either, point.id, "disk0", tmp_path / "out")
    assert result.returncode and "newer than this script" in result.stderr


@pytest.mark.parametrize("name", ["0000000000000000.json", ".nfs0001.json"])
def test_a_key_file_that_cannot_be_read_does_not_stop_the_others(
    restore, encrypted, data, tmp_path, name
):
    point = encrypted.back_up(data).point
    (Path(encrypted.url) / "keys" / name).write_bytes(b"{}")
    result = restore(encrypted, point.id, "disk0", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out").read_bytes() == data
    assert (name in result.stderr) is not name.startswith(".")


@pytest.mark.parametrize("change", [{"n": 1 << 40}, {"salt": 7}, {"wrapped": "00"}])
def test_a_planted_key_file_does_not_stop_the_others(restore, encrypted, data, tmp_path, change):
    point = encrypted.back_up(data).point
    (path,) = Path(encrypted.url).glob("keys/*")
    facts = json.loads(path.read_bytes())
    del facts["signature"]
    path.with_name("0.json").write_bytes(seal({**facts, **change}, checksum))
    result = restore(encrypted, point.id, "disk0", tmp_path / "out")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("place", [0, 20, 95, 130, -90, -2])
def test_one_copy_of_what_opens_the_repository_is_enough(restore, either, data, tmp_path, place):
    point = either.back_up(data).point
    for number, path in enumerate(
        [*Path(either.url).glob("keys/*"), Path(either.url, "repo.json")]
    ):
        flip(path, place)
        result = restore(either, point.id, "disk0", tmp_path / f"out{number}")
        assert result.returncode == 0, result.stderr
        assert (tmp_path / f"out{number}").read_bytes() == data


# Points


def test_it_refuses_a_changed_manifest(restore, either, data, tmp_path):
    point = either.back_up(data).point
    (path,) = Path(either.url).glob("backups/*/*")
    flip(path, 100)
    result = restore(either, point.id, "disk0", tmp_path / "out")
    assert result.returncode and str(path) in result.stderr
    assert list(tmp_path.glob("out*")) == []


@pytest.mark.parametrize(
    ("wanted", "disk", "text"),
    [("nonsense", "disk0", "{point.id} 'first' of 'web01'"), ("first", "disk9", "only disk0")],
)
def test_it_tells_what_is_there(restore, either, data, tmp_path, wanted, disk, text):
    point = either.back_up(data, name="first").point
    result = restore(either, wanted, disk, tmp_path / "out")
    assert result.returncode and text.format(point=point) in result.stderr


def test_it_refuses_a_name_that_two_sources_share(restore, either, data, tmp_path):
    points = [either.back_up(data, Source("disk", name, name), name="n").point for name in "ab"]
    result = restore(either, "n", "disk0", tmp_path / "out")
    lines = [f"{point.id} 'n' of '{point.source_name}'" for point in points]
    assert result.returncode and all(line in result.stderr for line in lines)
    assert restore(either, points[1].id, "disk0", tmp_path / "out").returncode == 0


@pytest.mark.parametrize("name", [".{}", "{}.bak", "../another/{}"])
def test_a_copy_of_a_manifest_under_another_name_is_no_point(restore, either, data, tmp_path, name):
    point = either.back_up(data).point
    path = Path(either.url) / point.key
    copy = path.parent / name.format(path.name)
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(path.read_bytes())
    assert restore(either, point.name, "disk0", tmp_path / "out").returncode == 0


def test_it_never_writes_over_a_file(restore, either, data, tmp_path):
    point = either.back_up(data).point
    (tmp_path / "out").write_bytes(b"precious")
    assert restore(either, point.id, "disk0", tmp_path / "out").returncode
    assert (tmp_path / "out").read_bytes() == b"precious"
    (tmp_path / "again.partial").write_bytes(b"precious")
    result = run_alone(either, point.id, "disk0", tmp_path / "again")
    assert result.returncode and len(result.stderr.splitlines()) == 1
    assert (tmp_path / "again.partial").read_bytes() == b"precious"


def test_it_stands_alone():
    allowed = {"zstandard", "blake3", "cryptography", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module.partition(".")[0] in allowed


# Damage


def flip(path, place, bit=0):
    changed = bytearray(path.read_bytes())
    changed[place] ^= 1 << bit
    path.write_bytes(changed)


def harm(path, offset, how):
    if how == "missing":
        path.unlink()
    elif how == "short":
        path.write_bytes(path.read_bytes()[: offset + 10])
    else:
        flip(path, offset + 20)


def place_of(helper, point, number):
    """The pack file and offset of a chunk, or with None of the first map."""
    device = helper.open().open_disk(point)
    where = device._disk.maps[0].location if number is None else device._where(number)
    return Path(helper.url) / "packs" / where.pack.hex()[:2] / where.pack.hex(), where.offset


def quarantine(helper):
    """What vmdk_verify does with quarantine: true."""
    repository = helper.open()
    repository.apply(repository.verify(Wish("data", quarantine=True)).remedy)


def told(stderr):
    """The bytes of the disk that are said to be lost, as (begin, end)."""
    found = re.findall(r"bytes (\d+) to (\d+) of the disk are lost", stderr)
    return [(int(begin), int(end) + 1) for begin, end in found]


@pytest.mark.parametrize("how", ["missing", "short", "changed"])
@pytest.mark.parametrize("number", [None, 6])
def test_what_is_lost_is_told_and_the_rest_restored(
    restore, either, helpers, data, tmp_path, how, number
):
    point = either.back_up(data).point
    path, offset = place_of(either, point, number)
    harm(path, offset, how)
    result = restore(either, point.id, "disk0", tmp_path / "out")
    assert result.returncode and f"byte {offset} of pack {path.name}: " in result.stderr
    lost = told(result.stderr)
    if number is None:
        assert lost == [(0, len(data))]
    elif how == "changed":
        assert lost == [(6 * helpers.CHUNK, len(data))]
    assert not (tmp_path / "out").exists()
    expected = bytearray(data)
    for begin, end in lost:
        expected[begin:end] = bytes(end - begin)
    assert (tmp_path / "out.partial").read_bytes() == expected
    assert f"{sum(end - begin for begin, end in lost)} bytes" in result.stderr


@pytest.mark.parametrize("how", ["missing", "short", "changed"])
@pytest.mark.parametrize("number", [None, 0])
def test_what_a_later_backup_healed_is_found(restore, either, data, tmp_path, how, number):
    point = either.back_up(data).point
    harm(*place_of(either, point, number), how)
    quarantine(either)
    either.back_up(data)
    assert either.restore(point.id) == data
    result = restore(either, point.id, "disk0", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out").read_bytes() == data


def test_what_was_healed_and_then_compacted_is_found(restore, either, helpers, tmp_path):
    """The pack of the healed chunks is compacted; the old point that lives on it is held."""
    chunk = helpers.CHUNK
    shared, ballast = helpers.content(2 * chunk), helpers.content(8 * chunk, "ballast")
    old = either.back_up(shared + helpers.content(chunk, "old")).point.id
    harm(*place_of(either, either.open().points()[0], 0), "changed")
    quarantine(either)
    healer = either.back_up(shared + ballast).point.id
    newest = either.back_up(shared).point.id
    request = PruneRequest(drop=(healer,), hold=(old,), compact=90, grace=0)
    done = either.open().prune(request).run()
    assert done.compacted.packs == 1
    for _time in range(2):
        either.open().prune(PruneRequest(grace=0)).run()
    for point, content in ((old, shared + helpers.content(chunk, "old")), (newest, shared)):
        assert either.restore(point) == content
        result = restore(either, point, "disk0", tmp_path / point)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / point).read_bytes() == content


def test_compacted_points_restore(restore, either, helpers, tmp_path):
    chunk = helpers.CHUNK
    first = helpers.content(8 * chunk)
    second = first[:chunk] + helpers.content(chunk, "new")
    old, new = (either.back_up(content).point for content in (first, second))
    pack, _offset = place_of(either, old, 0)
    manifest = Path(either.url) / new.key
    before = manifest.read_bytes()
    done = either.open().prune(PruneRequest(drop=(old.id,), compact=90, grace=0)).run()
    assert done.compacted.packs and manifest.read_bytes() != before
    either.open().prune(PruneRequest(grace=0)).run()
    assert not pack.exists()
    result = restore(either, new.id, "disk0", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out").read_bytes() == second


@pytest.mark.parametrize("seed", range(3))
def test_it_restores_what_the_repository_restores(restore, either, helpers, tmp_path, seed):
    """And tells what that does not, whatever is damaged, healed or not."""
    chance = random.Random(seed)
    chunks = [helpers.content(helpers.CHUNK, number) for number in range(5)]
    contents = {}
    for night in range(4):
        content = b"".join(chance.choices([*chunks, bytes(helpers.CHUNK)], k=5)) + b"end"
        contents[either.back_up(content).point.id] = content
        packs = sorted(Path(either.url).glob("packs/*/*"), key=lambda path: path.stat().st_mtime_ns)
        for path in chance.sample(packs, 1 + night % 2):
            harm(path, chance.randrange(path.stat().st_size - 20), chance.choice(HOW))
        if chance.random() < 0.5:
            quarantine(either)
    quarantine(either)
    contents[either.back_up(b"".join(chunks) + b"end").point.id] = b"".join(chunks) + b"end"
    ends = []
    for point, content in contents.items():
        out = tmp_path / point
        result = restore(either, point, "disk0", out)
        try:
            assert either.restore(point) == content
        except RepositoryDamaged:
            assert result.returncode and told(result.stderr) and not out.exists()
        else:
            assert result.returncode == 0, result.stderr
            assert out.read_bytes() == content
        ends.append(result.returncode)
    print(ends)
    assert ends[-1] == 0
