# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A damaged disk: files outside the damage come back equal, the others are named."""

from __future__ import annotations

import json
import os
import random
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.scan.conftest import MIB, mounted

SIZE = 96 * MIB
SECTOR = 512
PLAYBOOK = Path(__file__).parents[3] / "playbooks" / "recover.yml"
DIRECTORY_AT = 56  # of the header: sector of the grain directory (Technical Note, p. 8)


@pytest.fixture
def raw(tmp_path, tool):
    """An ext4 disk with forty files that nothing can compress."""
    image = tmp_path / "disk.raw"
    with open(image, "wb") as stream:
        stream.truncate(SIZE)
    tool("mkfs.ext4", "-q", "-F", "-b", "4096", image)
    rng = random.Random(7)
    with mounted(image, "ext4", tmp_path / "m") as root:
        for number in range(40):
            (root / f"file{number:02}").write_bytes(rng.randbytes(rng.randrange(1, 2 * MIB)))
    return image


@pytest.fixture
def truth(raw, tool, tmp_path):
    """Name -> (content, blocks), as e2fsprogs see them in the disk when it was sound."""
    files = {}
    for line in tool("debugfs", "-R", "ls -p /", raw).splitlines():
        name = line.split("/")[5]
        if name.startswith("file"):
            tool("debugfs", "-R", f"dump /{name} {tmp_path / 'dumped'}", raw)
            blocks = {int(one) for one in tool("debugfs", "-R", f"blocks /{name}", raw).split()}
            files[name] = ((tmp_path / "dumped").read_bytes(), blocks)
    return files


def overwrite_grains(path):
    """Garbage over some of a stream's grains."""
    with open(path, "r+b") as stream:
        size = os.fstat(stream.fileno()).st_size
        for part in (5, 7):
            stream.seek(size * part // 10)
            stream.write(b"\xde\xad" * 3000)


def lose_tables(path):
    """Both copies of some grain tables lead nowhere."""
    with open(path, "r+b") as stream:
        header = stream.read(512)
        for sector in struct.unpack_from("<2Q", header, DIRECTORY_AT - 8):
            stream.seek(sector * SECTOR)
            tables = struct.unpack("<3I", stream.read(12))
            stream.seek(tables[2] * SECTOR)
            stream.write(b"\xff" * 512 * 4)


def cut_off(path):
    os.truncate(path, os.path.getsize(path) * 7 // 10)


@pytest.mark.parametrize(
    ("subformat", "damage"),
    [
        ("streamOptimized", overwrite_grains),
        ("monolithicSparse", lose_tables),
        ("monolithicSparse", cut_off),
    ],
)
def test_files_outside_the_damage_are_equal(
    subformat, damage, raw, truth, tmp_path, tool, modules, mount
):
    disk, saved, out = (tmp_path / name for name in ("disk.vmdk", "saved.vmdk", "out"))
    tool("qemu-img", "convert", "-O", "vmdk", "-o", f"subformat={subformat}", raw, disk)
    damage(disk)
    salvaged = modules.vmdk_check(path=disk, salvage_to=saved)["salvaged"]
    assert salvaged["lost"]
    point = mount(saved, lost=salvaged["lost"])
    result = modules.vmdk_files(
        src=point, dest=out, paths=["/file*"], fail_on=[], conflict="replace"
    )["files"]
    lost = set()
    for run in salvaged["lost"]:
        lost |= set(range(run["offset"] // 4096, -(-(run["offset"] + run["length"]) // 4096)))
    hurt = {f"/{name}" for name, (_content, blocks) in truth.items() if blocks & lost}
    assert hurt
    assert len(hurt) < len(truth)
    assert {each["path"] for each in result["unreadable"]} == hurt
    back = {path.name: path.read_bytes() for path in out.iterdir()}
    whole = {name for name in truth if f"/{name}" not in hurt}
    assert back == {name: truth[name][0] for name in whole}
    assert all(re.search("byte", each["reason"]) for each in result["unreadable"])


def test_a_scan_of_it_tells_what_it_could_not_read(raw, truth, mount, modules, database):
    lost = [{"offset": 70 * MIB, "length": MIB}]
    blocks = set(range(70 * MIB // 4096, 71 * MIB // 4096))
    hurt = {f"/{name}" for name, (_content, used) in truth.items() if used & blocks}
    assert hurt
    point = mount(raw, lost=lost)
    scan = modules.vmdk_scan(mount_point=point, database=database, secrets=False)["scan"]
    assert {each["path"] for each in scan["skipped"]} == hurt


def test_a_mount_without_the_losses_is_another_one(raw, tmp_path, mount, modules):
    lost = [{"offset": 90 * MIB, "length": MIB}]
    mount(raw, lost=lost)
    point = tmp_path / "mnt0"
    assert not modules.vmdk_mount(path=raw, mount_point=point, lost=lost)["changed"]
    failed = modules.fail("vmdk_mount", path=raw, mount_point=point)
    assert failed["error"]["kind"] == "MountFailed"


def test_what_is_lost_is_never_written_to(raw, tmp_path, modules):
    failed = modules.fail(
        "vmdk_mount",
        path=raw,
        mount_point=tmp_path / "mnt",
        read_only=False,
        lost=[{"offset": 0, "length": 512}],
    )
    assert "read-only" in failed["msg"]


def test_the_playbook(raw, truth, tmp_path, tool):
    disk, saved, out = (tmp_path / name for name in ("disk.vmdk", "saved.vmdk", "out"))
    tool("qemu-img", "convert", "-O", "vmdk", raw, disk)
    cut_off(disk)
    variables = {"recover_disk": disk, "recover_saved": saved, "recover_dest": out}
    command = [
        Path(sys.executable).with_name("ansible-playbook"),
        "-i",
        "localhost,",
        "-c",
        "local",
    ]
    command += ["-e", json.dumps({key: str(value) for key, value in variables.items()}), PLAYBOOK]
    environment = {**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "USER": "root"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(Path(f"{out}.report.json").read_text(encoding="utf-8"))
    hurt = {each["path"].strip("/") for each in report["unreadable"]}
    assert hurt
    assert report["lost"]
    back = {path.name: path.read_bytes() for path in out.glob("file*")}
    assert back == {name: content for name, (content, _at) in truth.items() if name not in hurt}
