# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every task of tests/vddk_equivalents.yml runs as it is printed, and others judge what it did.

In check mode first, which touches nothing and foretells the rest; then for real; then once more,
and nothing changes. A judge looks at the files with qemu-img, du, or its own eyes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.vdisk.lifecycle.tests.integration.modules.seen import Seen

TABLE = yaml.safe_load((Path(__file__).parents[2] / "vddk_equivalents.yml").read_text("utf-8"))
ROWS = {row["theirs"]: row for part in TABLE.values() for row in part if "task" in row}
MIB, GIB = 1 << 20, 1 << 30
SIZE = 8 * MIB
JUDGES = {}
READS = {  # these change nothing
    *("Open", "Open: READ_ONLY", "GetInfo", "Read", "QueryAllocatedBlocks", "ReadMetadata", "-e"),
    *("GetMetadataKeys", "IsAttachPossible", "GetErrorText"),
}
FAILS = {"IsAttachPossible": "ChainMismatch", "GetErrorText": "MissingLink"}


def judge(*names):
    def register(function):
        JUDGES.update(dict.fromkeys(names, function))
        return function

    return register


@pytest.fixture
def room(modules, tmp_path, tmp_path_factory):
    """/srv/vm; made once, then copied."""
    pattern = tmp_path_factory.getbasetemp() / "room-of-equivalents"
    if not pattern.exists():
        making = pattern.with_suffix(".making")
        making.mkdir()
        _furnish(modules, making)
        making.rename(pattern)
    folder = tmp_path / "vm"
    shutil.copytree(pattern, folder)
    return folder


def _furnish(modules, folder):
    source = random.Random(1)
    for name, disk_type in (("web01", "monolithicSparse"), ("flat", "monolithicFlat")):
        path = folder / f"{name}.vmdk"
        modules.vmdk_create(path=path, size=SIZE, disk_type=disk_type)
        for offset in (2 * MIB, MIB, 0):  # backwards, so that the grains are out of order
            _write(modules, path, offset, source.randbytes(MIB // 2))
        _write(modules, path, MIB, bytes(MIB // 2))
    (folder / "boot.bin").write_bytes(source.randbytes(5000))
    base, child = folder / "base.vmdk", folder / "base-000001.vmdk"
    modules.vmdk_clone(src=folder / "web01.vmdk", dest=base)
    modules.vmdk_snapshot(path=base, child=child)
    for offset in (5 * MIB, 4 * MIB):
        _write(modules, child, offset, source.randbytes(MIB // 2))
    modules.vmdk_clone(src=base, dest=folder / "moved.vmdk")
    modules.vmdk_snapshot(path=folder / "moved.vmdk", child=folder / "lost.vmdk")
    (folder / "moved.vmdk").rename(folder / "found.vmdk")
    shutil.copy(folder / "web01.vmdk", folder / "dirty.vmdk")
    with open(folder / "dirty.vmdk", "r+b") as file:
        file.seek(72)
        file.write(b"\1")  # uncleanShutdown (TN p.7)
        file.seek(_place(folder / "dirty.vmdk", _place(folder / "dirty.vmdk", 48)))
        file.write(bytes(4))  # the redundant table has lost the first grain


def _write(modules, path, offset, data):
    content = base64.b64encode(data).decode()
    modules.vmdk_data(path=path, offset=str(offset), content_base64=content)


def _at(path, offset, length):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def _place(path, offset):
    """The byte that the sector number there means."""
    return int.from_bytes(_at(path, offset, 4), "little") * 512


@pytest.fixture
def guest(modules, room):
    """A disk with a file system from which a file was deleted."""
    image, files = room / "guest.img", room / "files"
    files.mkdir()
    (files / "kept").write_bytes(b"kept")
    (files / "big").write_bytes(random.Random(2).randbytes(4 * MIB))
    image.write_bytes(bytes(32 * MIB))
    subprocess.run(["mkfs.ext4", "-q", "-d", str(files), str(image)], check=True)
    subprocess.run(["debugfs", "-w", "-R", "rm big", str(image)], check=True, capture_output=True)
    modules.vmdk_clone(src=image, dest=room / "guest.vmdk")


@pytest.mark.parametrize("name", [name for name in ROWS if name != "-p"])
def test_task(modules, room, digest_of_tree, name):
    run_task(modules, room, digest_of_tree, name)


def test_task_that_mounts(modules, room, guest, digest_of_tree):
    run_task(modules, room, digest_of_tree, "-p")


def test_every_task_has_its_judge():
    assert set(ROWS) - set(FAILS) <= set(JUDGES)
    assert set(JUDGES) <= set(ROWS)


def run_task(modules, room, digest_of_tree, name):
    task = dict(ROWS[name]["task"])
    only_check = task.pop("check_mode", False)
    ((module, arguments),) = task.items()
    arguments = _placed(arguments, str(room))
    seen, before = Seen(room), digest_of_tree(room)
    foretold = modules.attempt(module, check_mode=True, **arguments)
    assert digest_of_tree(room) == before
    done = modules.attempt(module, check_mode=only_check, **arguments)
    after = digest_of_tree(room)
    if name in FAILS:
        _judge_failure(foretold, done, FAILS[name])
        assert after == before
        return
    assert not done.get("failed"), done
    if only_check:
        assert after == before
        JUDGES[name](seen, arguments, done)
        return
    assert done["changed"] is foretold["changed"] is (name not in READS), (foretold, done)
    assert (after != before) is done["changed"]
    for key in {"path", "size", "disk_type", "adapter_type"} & set(foretold.get("disk", {})):
        assert foretold["disk"][key] == done["disk"][key]
    JUDGES[name](seen, arguments, done)
    again = modules.run(module, **arguments)
    assert not again["changed"]
    assert digest_of_tree(room) == after


def _placed(value, room):
    if isinstance(value, dict):
        return {key: _placed(each, room) for key, each in value.items()}
    return value.replace("/srv/vm", room) if isinstance(value, str) else value


def _judge_failure(foretold, done, kind):
    for result in (foretold, done):
        assert result["failed"]
        assert result["error"]["kind"] == kind
        assert result["error"]["path"] in result["msg"]
        assert result["error"]["hint"] in result["msg"]


def _name(arguments, key="path"):
    return os.path.basename(arguments[key])


FILES = {  # of a disk below 2 GiB
    "monolithicSparse": ["new.vmdk"],
    "twoGbMaxExtentSparse": ["new-s001.vmdk", "new.vmdk"],
    "monolithicFlat": ["new-flat.vmdk", "new.vmdk"],
    "twoGbMaxExtentFlat": ["new-f001.vmdk", "new.vmdk"],
    "vmfs": ["new-flat.vmdk", "new.vmdk"],
    "streamOptimized": ["new.vmdk"],
}
SIZES = {"40MiB": 40 * MIB, "64MiB": 64 * MIB, "2GiB": 2 * GIB, "5GiB": 5 * GIB, "8GB": 8 * GIB}


@judge(*(name for name in ROWS if name.startswith(("Create:", "-c")) or name == "Create"))
def is_new(seen, arguments, _done):
    size, disk_type = SIZES[arguments["size"]], arguments.get("disk_type", "monolithicSparse")
    assert seen.info("new.vmdk") == (size, disk_type)
    there = sorted(path.name for path in seen.room.glob("new*"))
    assert there == FILES[disk_type] or size > 2 * GIB
    text = seen.descriptor("new.vmdk")
    assert f'ddb.adapterType = "{arguments.get("adapter_type", "lsilogic")}"' in text
    assert f'ddb.virtualHWVersion = "{arguments.get("hw_version", 10)}"' in text
    for key, value in arguments.get("metadata", {}).items():
        assert f'ddb.{key} = "{value}"' in text
    if "flat" in there[0] or "-f" in there[0]:
        assert (seen.du(there[0]) == size) is ("metadata" not in arguments)  # reserved, or thin
    if size == 40 * MIB:
        assert not any(seen.content("new.vmdk"))


@judge("Create: SPLIT_SPARSE", "-c -s 8GB")
def is_split(seen, arguments, done):
    is_new(seen, arguments, done)
    lines = [line for line in seen.descriptor("new.vmdk").splitlines() if line.startswith("RW ")]
    assert sum(int(line.split()[1]) for line in lines) * 512 == SIZES[arguments["size"]]
    assert (
        len(lines)
        == len(list(seen.room.glob("new-s*")))
        == SIZES[arguments["size"]] // GIB // 2 + 1
    )
    assert all(int(line.split()[1]) * 512 < 2 * GIB for line in lines)


@judge("CreateChild", "CreateChild: SPLIT_SPARSE")
def is_child(seen, arguments, _done):
    assert seen.content("child.vmdk") == seen.content("web01.vmdk") == seen.before["web01.vmdk"]
    child, parent = seen.descriptor("child.vmdk"), seen.descriptor("web01.vmdk")
    cid = parent.split("\nCID=")[1][:8]
    assert f"parentCID={cid}" in child
    assert 'parentFileNameHint="web01.vmdk"' in child
    assert f'createType="{arguments.get("disk_type", "monolithicSparse")}"' in child


@judge("Open")
def is_read_through_the_chain(seen, arguments, done):
    content = seen.before["base-000001.vmdk"]
    assert done["disk"]["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert done["disk"]["chain"] == [str(seen.room / n) for n in ("base-000001.vmdk", "base.vmdk")]


@judge("Open: READ_ONLY", "GetInfo", "ReadMetadata", "GetMetadataKeys")
def is_described(seen, arguments, done):
    disk = done["disk"]
    assert (disk["size"], disk["disk_type"]) == seen.info("web01.vmdk")
    lines = seen.descriptor("web01.vmdk").splitlines()
    pairs = [line[4:].split(" = ") for line in lines if line.startswith("ddb.")]
    assert disk["metadata"] == {key: value.strip('"') for key, value in pairs}
    assert disk["uuid"] == disk["metadata"]["uuid"]
    assert [disk["geometry"]["heads"], disk["geometry"]["sectors"]] == [64, 32]  # below 1 GiB
    assert len(disk["extents"]) == len(disk["chain"]) == 1


@judge("QueryAllocatedBlocks")
def is_mapped(seen, arguments, done):
    content = bytearray(seen.before["base-000001.vmdk"])
    for run in done["disk"]["blocks"]:
        assert any(content[run["offset"] : run["offset"] + run["length"]])
        content[run["offset"] : run["offset"] + run["length"]] = bytes(run["length"])
    assert not any(content)
    assert done["disk"]["allocated"] == seen.du("base-000001.vmdk")


@judge("SpaceNeededForClone")
def is_measured(seen, arguments, done):
    copy = seen.room.parent / "by-qemu.vmdk"
    options = ["-O", "vmdk", "-o", f"subformat={arguments['disk_type']}"]
    subprocess.run(["qemu-img", "convert", *options, arguments["src"], str(copy)], check=True)
    assert copy.stat().st_size <= done["space_needed"] < 1.2 * copy.stat().st_size


@judge("Read")
def is_read(seen, arguments, done):
    wanted = seen.before["web01.vmdk"][1000:4000]
    assert base64.b64decode(done["content_base64"]) == wanted


@judge("Read: into a file")
def is_fetched(seen, arguments, _done):
    assert (seen.room / "web01.boot").read_bytes() == seen.before["web01.vmdk"][:MIB]


@judge("Write", "Write: from a file")
def is_written(seen, arguments, _done):
    data = arguments.get("content", "").encode() or (seen.room / "boot.bin").read_bytes()
    offset = 3 * MIB if "src" in arguments else 1536
    wanted = bytearray(seen.before["web01.vmdk"])
    wanted[offset : offset + len(data)] = data
    assert seen.content("web01.vmdk") == wanted


@judge("WriteMetadata", "-D")
def is_noted(seen, arguments, _done):
    text = seen.descriptor("web01.vmdk")
    for key, value in arguments["metadata"].items():
        assert f'ddb.{key} = "{value}"' in text
    for key in arguments.get("remove_metadata", []):
        assert key not in text
    assert seen.content("web01.vmdk") == seen.before["web01.vmdk"]


@judge("Unlink", "-U")
def is_gone(seen, arguments, _done):
    assert not list(seen.room.glob("flat*"))


@judge("Grow", "Grow: updateGeometry", "-x")
def is_larger(seen, arguments, _done):
    name, size = _name(arguments), SIZES[arguments["size"]]
    assert seen.info(name)[0] == size
    text = seen.descriptor(name)
    heads, sectors = (255, 63) if size >= 2 * GIB else (64, 32)
    assert f'ddb.geometry.heads = "{heads}"' in text
    assert f'ddb.geometry.cylinders = "{size // 512 // heads // sectors}"' in text
    if size < GIB:
        assert seen.content(name) == seen.before[name] + bytes(size - SIZE)


@judge("Shrink", "-k")
def is_smaller(seen, arguments, done):
    assert done["freed"] == MIB // 2  # the zeros that were written
    assert seen.content("web01.vmdk") == seen.before["web01.vmdk"]
    assert (seen.room / "web01.vmdk").stat().st_size < MIB + MIB // 4


@judge("-p")
def is_trimmed(seen, arguments, done):
    assert done["freed"] > 3 * MIB  # most of the file that was deleted
    assert seen.du("guest.vmdk") < 3 * MIB
    image = seen.room.parent / "guest.img"
    image.write_bytes(seen.content("guest.vmdk"))
    subprocess.run(["e2fsck", "-fn", str(image)], check=True, capture_output=True)
    kept = subprocess.check_output(["debugfs", "-R", "cat kept", str(image)], stderr=-3)
    assert kept == b"kept"


@judge("Defragment", "-d", "Open: SINGLE_LINK")
def is_in_order(seen, arguments, done):
    name = _name(arguments)
    assert seen.content(name) == seen.before[name]
    assert done["fragmentation"]["before"]["fragments"] > 1
    command = ["qemu-img", "map", "--output=json", str(seen.room / name)]
    runs = json.loads(subprocess.check_output(command))
    places = [run["offset"] for run in runs if run["data"] and not run["depth"]]
    assert places == sorted(places)


@judge("Rename", "-n")
def is_renamed(seen, arguments, _done):
    old = _name(arguments, "src").removesuffix(".vmdk")
    assert not list(seen.room.glob(f"{old}*.vmdk"))
    assert seen.content("web02.vmdk") == seen.before[f"{old}.vmdk"]


@judge("GetTransportMode", "Clone", "Clone: overWrite", "ReadAsync", "WriteAsync")
@judge(*(name for name in ROWS if name.startswith("-r") and "src" in str(ROWS[name])))
def is_copied(seen, arguments, done):
    src, dest = _name(arguments, "src"), _name(arguments, "dest")
    assert seen.content(dest) == seen.before[src] == seen.content(src)
    if "disk_type" in arguments:
        assert seen.info(dest) == (SIZE, arguments["disk_type"])
    assert done["transfer"]["transport"] == "file"
    assert done["transfer"]["bytes_total"] == SIZE


@judge("-r -t 4", "-r -t 5")
def is_converted(seen, arguments, _done):
    assert seen.info("web01.vmdk") == (SIZE, arguments["disk_type"])
    assert seen.content("web01.vmdk") == seen.before["web01.vmdk"]


@judge("Attach")
def is_attached(seen, arguments, _done):
    assert seen.content("lost.vmdk") == seen.before["found.vmdk"]
    assert 'parentFileNameHint="found.vmdk"' in seen.descriptor("lost.vmdk")


@judge("CheckRepair", "-R")
def is_repaired(seen, arguments, done):
    disk = seen.room / "dirty.vmdk"
    assert done["repaired"] and done["healthy"]
    assert _at(disk, 72, 1) == b"\0"
    redundant, primary = (_place(disk, _place(disk, field)) for field in (48, 56))
    assert _at(disk, redundant, 2048) == _at(disk, primary, 2048)
    assert seen.content("dirty.vmdk") == seen.before["web01.vmdk"]


@judge("-e")
def is_found_broken(seen, arguments, done):
    assert not done["healthy"]
    assert any("moved.vmdk" in finding["message"] for finding in done["findings"])
