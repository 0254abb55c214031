# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_check as a playbook meets it: reports, repairs, salvages; a second run changes nothing."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SECTOR = 512
CORPUS = Path(
    os.environ.get("VDISK_CORPUS", Path(__file__).resolve().parents[4] / "shared" / "corpus")
)
CUT = CORPUS / "govmomi" / "ttylinux-pc_i486-16.1-disk1.vmdk"
TYPES = [
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "vmfs",
    "streamOptimized",
]


def poke(path, offset, data):
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def directory_of(path, field=56):
    """Byte of the file where the grain directory is; field 48 is the redundant one."""
    return struct.unpack_from("<Q", path.read_bytes(), field)[0] * SECTOR


def zero_directory(path):
    poke(path, directory_of(path), bytes(8))


@pytest.fixture
def stream_of_the_field(tmp_path):
    if not CUT.exists():
        pytest.skip(f"no corpus of disks at {CORPUS}")
    return Path(shutil.copy(CUT, tmp_path / "appliance.vmdk"))


@pytest.mark.parametrize("disk_type", TYPES)
def test_sound_disk_is_healthy(modules, make_disk, disk_type):
    result = modules.vmdk_check(path=make_disk(disk_type=disk_type), repair=True)
    assert (result["changed"], result["healthy"], result["findings"]) == (False, True, [])
    assert result["repaired"] == []


def test_unhealthy_disk_is_reported_and_no_failure(modules, disk, tmp_path, digest_of_tree):
    zero_directory(disk)
    before = digest_of_tree(tmp_path)
    result = modules.vmdk_check(path=disk)
    assert (result["changed"], result["healthy"]) == (False, False)
    (finding,) = result["findings"]
    assert (finding["kind"], finding["severity"]) == ("directory-entry", "error")
    assert (finding["path"], finding["repairable"]) == (str(disk), True)
    assert finding["offset"] == directory_of(disk)
    assert digest_of_tree(tmp_path) == before


def test_repair_restores_the_content(modules, disk, content_by_qemu):
    content = content_by_qemu(disk)
    zero_directory(disk)
    assert content_by_qemu(disk) != content
    result = modules.vmdk_check(path=disk, repair=True)
    assert (result["changed"], result["healthy"], result["findings"]) == (True, True, [])
    assert content_by_qemu(disk) == content
    subprocess.run(["qemu-img", "check", "-f", "vmdk", str(disk)], check=True, capture_output=True)
    again = modules.vmdk_check(path=disk, repair=True)
    assert (again["changed"], again["repaired"]) == (False, [])


def test_check_mode_tells_the_repair_and_does_nothing(modules, disk, tmp_path, digest_of_tree):
    zero_directory(disk)
    before = digest_of_tree(tmp_path)
    planned = modules.vmdk_check(path=disk, repair=True, check_mode=True)
    assert planned["changed"]
    assert not planned["healthy"]
    assert digest_of_tree(tmp_path) == before
    done = modules.vmdk_check(path=disk, repair=True)
    assert done["repaired"] == planned["repaired"]
    assert done["diff"] == planned["diff"]


def test_diff_has_each_change(modules, disk):
    poke(disk, 72, b"\x01")
    result = modules.vmdk_check(path=disk, repair=True)
    name = f"{disk}: the mark of an unclean shutdown at byte 72"
    assert result["diff"] == {"before": {name: "1"}, "after": {name: "0"}}


def test_what_nothing_proves_is_left_alone(modules, disk, tmp_path, digest_of_tree):
    poke(disk, 73, b"\n\n\n\n")
    before = digest_of_tree(tmp_path)
    result = modules.vmdk_check(path=disk, repair=True)
    assert not result["changed"]
    assert [finding["kind"] for finding in result["findings"]] == ["newlines"]
    assert "binary" in result["findings"][0]["how"]
    assert digest_of_tree(tmp_path) == before


def test_repair_says_that_both_tables_may_have_lost_something(modules, disk):
    for field in (48, 56):  # the first grain is gone from both
        table = struct.unpack_from("<I", disk.read_bytes(), directory_of(disk, field))[0] * SECTOR
        entries = struct.unpack_from("<512I", disk.read_bytes(), table)
        first = next(index for index, entry in enumerate(entries) if entry)
        poke(disk, table + 4 * first, bytes(4))
    poke(disk, table + 4 * first, bytes(8))  # the second from the primary one
    result = modules.vmdk_check(path=disk, repair=True)
    assert (result["changed"], result["healthy"]) == (True, False)
    assert [finding["kind"] for finding in result["findings"]] == ["unused-space"]


def test_cid_is_repaired_only_on_request(modules, disk, tmp_path, content_by_qemu):
    child = tmp_path / "child.vmdk"
    modules.vmdk_clone(src=disk, dest=child, linked=True)
    subprocess.run(
        ["qemu-io", "-f", "vmdk", "-c", "write -P 9 0 64k", str(disk)],
        check=True,
        capture_output=True,
    )
    broken = modules.vmdk_check(path=child, repair=True)
    assert [finding["kind"] for finding in broken["findings"]] == ["cid-mismatch"]
    assert not broken["changed"]
    mended = modules.vmdk_check(path=child, repair_cid=True)
    assert (mended["changed"], mended["healthy"]) == (True, True)
    assert [change["what"] for change in mended["repaired"]] == ["parentCID"]
    assert content_by_qemu(child) == content_by_qemu(disk)
    assert not modules.vmdk_check(path=child, repair_cid=True)["changed"]


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "vmfs", "streamOptimized"])
def test_truncated_stream_is_salvaged(modules, stream_of_the_field, tmp_path, disk_type):
    target = tmp_path / "saved.vmdk"
    before = stream_of_the_field.read_bytes()
    request = {"path": stream_of_the_field, "salvage_to": target, "disk_type": disk_type}
    result = modules.vmdk_check(**request)
    assert (result["changed"], result["healthy"]) == (True, False)
    assert result["salvaged"]["lost"] == [{"offset": 7012352, "length": 24444928}]
    assert result["salvaged"]["disk"]["disk_type"] == disk_type
    assert stream_of_the_field.read_bytes() == before
    (partition,) = modules.vmdk_info(path=target, partitions=True)["disk"]["partitions"]
    assert partition["fs"] == "ext3"
    again = modules.vmdk_check(**request)
    assert not again["changed"]
    assert again["salvaged"]["lost"] == result["salvaged"]["lost"]


def test_salvaged_file_system_is_that_of_the_appliance(modules, stream_of_the_field, tmp_path):
    """debugfs, which knows nothing of us, lists the root directory that qemu-img has read."""
    target, raw = tmp_path / "saved.vmdk", tmp_path / "saved.raw"
    modules.vmdk_check(path=stream_of_the_field, salvage_to=target)
    command = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(target), str(raw)]
    subprocess.run(command, check=True, capture_output=True)
    with raw.open("r+b") as stream:  # the partition alone
        stream.seek(63 * SECTOR)
        tail = stream.read()
    raw.write_bytes(tail)
    told = subprocess.run(
        ["debugfs", "-c", "-R", "ls /", str(raw)], check=True, capture_output=True, text=True
    ).stdout
    assert {"lost+found", "usr", "bin", "etc", "home", "sbin", "var"} <= set(told.split())


def test_salvage_in_check_mode_writes_nothing(modules, disk, tmp_path, digest_of_tree):
    before = digest_of_tree(tmp_path)
    result = modules.vmdk_check(path=disk, salvage_to=tmp_path / "saved.vmdk", check_mode=True)
    assert result["changed"]
    assert digest_of_tree(tmp_path) == before


def test_salvage_of_a_truncated_sparse_disk(modules, disk, tmp_path, content_by_qemu):
    os.truncate(disk, disk.stat().st_size - 100_000)
    result = modules.vmdk_check(path=disk, salvage_to=tmp_path / "saved.vmdk")
    assert sum(run["length"] for run in result["salvaged"]["lost"]) >= 100_000
    assert modules.vmdk_check(path=tmp_path / "saved.vmdk")["healthy"]
    # qemu reads zeros beyond the end of a file, and does not say so
    assert content_by_qemu(tmp_path / "saved.vmdk") == content_by_qemu(disk)


def test_salvage_replaces_with_force_only(modules, make_disk, tmp_path, content_by_qemu):
    disk, other = make_disk("a.vmdk", seed=1), make_disk("b.vmdk", seed=2)
    before = content_by_qemu(other)
    failed = modules.fail("vmdk_check", path=disk, salvage_to=other)
    assert failed["error"]["kind"] == "DiskExists"
    assert content_by_qemu(other) == before
    assert modules.vmdk_check(path=disk, salvage_to=other, force=True)["changed"]
    assert content_by_qemu(other) == content_by_qemu(disk)


def test_salvage_never_replaces_its_source(modules, disk):
    failed = modules.fail("vmdk_check", path=disk, salvage_to=disk, force=True)
    assert "itself" in failed["msg"]


def test_no_disk_fails(modules, tmp_path):
    failed = modules.fail("vmdk_check", path=tmp_path / "none.vmdk")
    assert failed["error"]["kind"] == "DiskNotFound"


def test_a_managed_disk_is_not_taken_for_a_file(modules):
    failed = modules.fail("vmdk_check", path="[datastore1] web01/web01.vmdk")
    assert "vSphere checks and repairs its disks itself" in failed["msg"]
