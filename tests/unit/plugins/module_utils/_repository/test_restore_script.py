# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/restore.py alone restores what the collection backed up."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[5] / "docs" / "restore.py"


@pytest.fixture
def data(helpers):
    chunk = helpers.CHUNK
    text = b"GET /index.html 200\n" * (chunk // 10)
    return helpers.content(chunk) + bytes(3 * chunk) + text + helpers.content(12_345, 1) + bytes(9)


def restore(helper, point, disk, output, passphrase=None):
    environment = {"PATH": os.environ["PATH"]}  # and no PYTHONPATH: the collection is not there
    if helper.passphrase:
        environment["VDISK_PASSPHRASE"] = passphrase or helper.passphrase
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), helper.url, point, disk, str(output)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_it_restores_every_point(either, data, tmp_path):
    changed = b"changed" + data[7:]
    for content in (data, changed):
        point = either.back_up(content).point
        result = restore(either, point.id, "disk0", tmp_path / point.id)
        assert result.returncode == 0, result.stderr
        assert sha256((tmp_path / point.id).read_bytes()) == sha256(content)


def test_it_finds_a_point_by_its_name(either, data, tmp_path):
    either.back_up(data, name="vor dem Update, 50 %")
    result = restore(either, "vor dem Update, 50 %", "disk0", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert sha256((tmp_path / "out").read_bytes()) == sha256(data)


def test_it_restores_a_disk_of_several_maps(either, helpers, tmp_path):
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


def test_it_refuses_a_wrong_passphrase(encrypted, data, tmp_path):
    point = encrypted.back_up(data).point
    result = restore(encrypted, point.id, "disk0", tmp_path / "out", "wrong")
    assert result.returncode and "opens none of the keys" in result.stderr


def test_it_refuses_a_damaged_chunk(either, data, tmp_path):
    point = either.back_up(data).point
    where = either.open().open_disk(point)._where(0)
    path = Path(either.url) / "packs" / where.pack.hex()[:2] / where.pack.hex()
    changed = bytearray(path.read_bytes())
    changed[where.offset + 1000] ^= 1
    path.write_bytes(changed)
    assert restore(either, point.id, "disk0", tmp_path / "out").returncode


def test_it_refuses_a_changed_manifest(either, data, tmp_path):
    point = either.back_up(data).point
    (path,) = Path(either.url).glob("backups/*/*")
    changed = bytearray(path.read_bytes())
    changed[100] ^= 1
    path.write_bytes(changed)
    result = restore(either, point.id, "disk0", tmp_path / "out")
    assert result.returncode and str(path) in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("point", "disk", "text"),
    [("nonsense", "disk0", "no restore point nonsense"), (None, "disk9", "only disk0")],
)
def test_it_tells_what_is_not_there(either, data, tmp_path, point, disk, text):
    point = point or either.back_up(data).point.id
    result = restore(either, point, disk, tmp_path / "out")
    assert result.returncode and text in result.stderr


def test_it_never_writes_over_a_file(either, data, tmp_path):
    point = either.back_up(data).point
    (tmp_path / "out").write_bytes(b"precious")
    assert restore(either, point.id, "disk0", tmp_path / "out").returncode
    assert (tmp_path / "out").read_bytes() == b"precious"


def test_it_stands_alone():
    allowed = {"zstandard", "blake3", "cryptography", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module.partition(".")[0] in allowed


def test_it_refuses_a_name_that_two_sources_share(either, data, tmp_path):
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
        Source,
    )

    points = [either.back_up(data, Source("disk", name, name), name="n").point for name in "ab"]
    result = restore(either, "n", "disk0", tmp_path / "out")
    assert result.returncode and all(f"{p.id} of {p.source_name}" in result.stderr for p in points)
    assert restore(either, points[1].id, "disk0", tmp_path / "out").returncode == 0


def test_it_refuses_a_newer_format(either, data, tmp_path):
    point = either.back_up(data).point
    for path in (Path(either.url) / "repo.json", Path(either.url) / "spare" / "repo.json"):
        path.write_bytes(path.read_bytes().replace(b'"min_reader": 1', b'"min_reader": 2'))
    result = restore(either, point.id, "disk0", tmp_path / "out")
    assert result.returncode and "newer than this script" in result.stderr


@pytest.mark.parametrize("name", ["0000000000000000.json", ".nfs0001.json"])
def test_a_key_file_that_cannot_be_read_does_not_stop_the_others(encrypted, data, tmp_path, name):
    point = encrypted.back_up(data).point
    (Path(encrypted.url) / "keys" / name).write_bytes(b"{}")
    result = restore(encrypted, point.id, "disk0", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out").read_bytes() == data
    assert (name in result.stderr) is not name.startswith(".")


def test_a_manifest_whose_name_begins_with_a_dot_is_ignored(either, data, tmp_path):
    point = either.back_up(data).point
    path = Path(either.url) / point.key
    path.with_name(f".{path.name}").write_bytes(path.read_bytes())
    assert restore(either, point.name, "disk0", tmp_path / "out").returncode == 0


def break_pack(path, offset, how):
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "short":
        path.write_bytes(content[: offset + 10])
    else:
        content[offset + 1000] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["missing", "short", "changed"])
def test_a_damaged_pack_is_told_in_one_line_and_leaves_no_image(either, data, tmp_path, how):
    point = either.back_up(data).point
    where = either.open().open_disk(point)._where(len(data) // (256 << 10))  # not the first
    path = Path(either.url) / "packs" / where.pack.hex()[:2] / where.pack.hex()
    break_pack(path, where.offset, how)
    folder = tmp_path / "restored"
    folder.mkdir()
    result = restore(either, point.id, "disk0", folder / "out")
    assert result.returncode and len(result.stderr.splitlines()) == 1
    assert f"{path}: the blob at byte " in result.stderr
    assert how == "missing" or f"at byte {where.offset} " in result.stderr
    assert list(folder.iterdir()) == []


def test_a_key_file_opens_it(encrypted, data, tmp_path):
    key_file = tmp_path / "nightly"
    key_file.write_bytes(bytes(range(256)))
    encrypted.open().add_key(key_file.read_bytes(), "nightly")
    point = encrypted.back_up(data).point
    command = [sys.executable, "-I", str(SCRIPT), encrypted.url, point.id, "disk0"]
    environment = {"PATH": os.environ["PATH"], "VDISK_KEY_FILE": str(key_file)}
    subprocess.run([*command, str(tmp_path / "out")], env=environment, check=True)
    assert (tmp_path / "out").read_bytes() == data


@pytest.mark.parametrize("place", [0, 20, 95, 130, -90, -2])
def test_one_copy_of_what_opens_the_repository_is_enough(either, data, tmp_path, place):
    point = either.back_up(data).point
    for number, path in enumerate(
        [*Path(either.url).glob("keys/*"), Path(either.url, "repo.json")]
    ):
        changed = bytearray(path.read_bytes())
        changed[place] ^= 1
        path.write_bytes(changed)
        result = restore(either, point.id, "disk0", tmp_path / f"out{number}")
        assert result.returncode == 0, result.stderr
        assert (tmp_path / f"out{number}").read_bytes() == data
