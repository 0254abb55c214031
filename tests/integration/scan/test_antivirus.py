# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""EICAR in files, archives and deleted space: found where it is, and nothing is written."""

from __future__ import annotations

import base64
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan import (
    report as report_module,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.clamd import (
    Clamd,
    Limits,
    Verdict,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.deleted import (
    Area,
    DeletedScan,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.report import (
    Clock,
    Report,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.secrets import LARGEST
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.tree import TreeScan
from ansible_collections.vdisk.lifecycle.tests.integration.scan.conftest import NUMBERS, mounted

IN_FILES = {
    ("/plain.com", "file"),
    ("/in.zip", "archive"),
    ("/in.tar.gz", "archive"),
    ("/nested.zip", "archive"),
}
KNOWS_FAT = "\tvfat\n" in pathlib.Path("/proc/filesystems").read_text(encoding="ascii")
ODD = {("/line\nbreak: OK.com", "file"), ("/\\xff.com", "file")}


def name_of(found, kind):
    """FAT keeps short names in capitals."""
    return found["path"].lower() if kind == "vfat" else found["path"]


@pytest.mark.parametrize("kind", NUMBERS)
def test_files_and_archives_and_deleted_space(kind, planted, mount, modules, database, digest):
    before = digest(planted)
    number = str(NUMBERS[kind])
    point = mount(planted, volume=number)
    scan = modules.vmdk_scan(
        mount_point=point, path=planted, volume=number, database=database, secrets=False
    )
    assert not scan["changed"]
    found = scan["scan"]["infected"]
    files = {(name_of(each, kind), each["where"]) for each in found if "offset" not in each}
    assert files == IN_FILES | (ODD if kind in ("ext4", "xfs") else set())
    gone = [each for each in found if each["where"] == "deleted"]
    assert len(gone) >= 2
    assert {each["signature"] for each in found} == {"Eicar-Test.UNOFFICIAL"}
    assert scan["scan"]["skipped"] == []
    assert digest(planted) == before


def test_a_place_in_deleted_space_is_told_by_its_byte(
    planted, tmp_path, tool, modules, database, bad
):
    scan = modules.vmdk_scan(path=planted, database=database)["scan"]
    tool("qemu-img", "convert", "-O", "raw", planted, tmp_path / "judge.raw")
    wanted = (bad["gone.com"], bad["gone.zip"])
    seen = set()
    with open(tmp_path / "judge.raw", "rb") as judge:
        for each in scan["infected"]:
            assert each["where"] == "deleted"
            judge.seek(each["offset"])
            content = judge.read(each["length"])
            # NTFS exchanges two bytes in 512 of what lies in a record
            seen |= {(each["volume"], one) for one in wanted if content[:60] == one[:60]}
    assert seen == {(str(number), one) for number in NUMBERS.values() for one in wanted}


def test_names_that_are_no_text_keep_their_bytes(planted, mount, modules, database):
    point = mount(planted, volume=str(NUMBERS["ext4"]))
    scan = modules.vmdk_scan(mount_point=point, database=database, secrets=False)["scan"]
    raw = [each["path_base64"] for each in scan["infected"] if "path_base64" in each]
    assert list(map(base64.b64decode, raw)) == [b"/\xff.com"]


def test_what_a_limit_keeps_from_being_scanned_is_told(planted, mount, modules, database):
    point = mount(planted, volume=str(NUMBERS["ext4"]))
    scan = modules.vmdk_scan(
        mount_point=point, database=database, secrets=False, max_file_size="12KiB"
    )["scan"]
    assert [each["path"] for each in scan["skipped"]] == ["/good.txt"]
    assert "max_file_size" in scan["skipped"][0]["reason"]


def test_a_scan_fails_for_what_it_is_asked_to(planted, mount, modules, database):
    point = mount(planted, volume=str(NUMBERS["vfat"]))
    failed = modules.fail(
        "vmdk_scan", mount_point=point, database=database, fail_on=["infected", "secrets"]
    )
    assert failed["msg"] == "The scan found: 4 infected."
    assert len(failed["scan"]["infected"]) == 4


def test_a_folder_that_is_not_mounted_is_not_clean(tmp_path, modules, database):
    failed = modules.fail("vmdk_scan", mount_point=tmp_path, database=database)
    assert failed["error"]["kind"] == "MountFailed"


def test_missing_signatures_are_told(planted, modules, tmp_path):
    failed = modules.fail("vmdk_scan", path=planted, database=tmp_path / "none")
    assert "freshclam" in failed["msg"]
    (tmp_path / "empty").mkdir()
    failed = modules.fail("vmdk_scan", path=planted, database=tmp_path / "empty")
    assert failed["error"]["kind"] == "MissingTool"


@pytest.mark.skipif(KNOWS_FAT, reason="this kernel knows vfat")
def test_fat_without_a_driver_is_not_written(planted, tmp_path, modules, digest):
    """By fusefat, which loses what is written through a file that was read before."""
    disk = shutil.copy(planted, tmp_path / "disk.vmdk")
    options = {"path": disk, "mount_point": tmp_path / "mnt", "volume": str(NUMBERS["vfat"])}
    for check_mode in (True, False):
        failed = modules.fail("vmdk_mount", check_mode=check_mode, transaction=True, **options)
        assert "fusefat loses what is written" in failed["msg"]
    assert [path.name for path in tmp_path.glob("disk*")] == ["disk.vmdk"]
    assert digest(disk) == digest(planted)


@pytest.mark.parametrize("kind", [kind for kind in NUMBERS if KNOWS_FAT or kind != "vfat"])
def test_quarantine(kind, planted, tmp_path, mount, modules, database, bad):
    disk = shutil.copy(planted, tmp_path / "disk.vmdk")
    number = str(NUMBERS[kind])
    point = mount(disk, volume=number, transaction=True, read_only=False)
    options = {"mount_point": point, "database": database, "secrets": False}
    place = tmp_path / "quarantine"
    foreseen = modules.run("vmdk_scan", check_mode=True, quarantine=place, **options)
    assert foreseen["changed"]
    assert not place.exists()
    done = modules.vmdk_scan(quarantine=place, **options)
    assert done["changed"]
    moved = {name_of(each, kind): each["quarantined"] for each in done["quarantined"]}
    with open(moved["/in.zip"], "rb") as stream:
        assert stream.read() == bad["in.zip"]
    assert modules.vmdk_scan(**options)["scan"]["infected"] == []
    assert (point / "good.txt").exists()
    modules.vmdk_mount(mount_point=point, state="committed")
    left = modules.vmdk_scan(path=disk, volume=number, database=database)["scan"]["infected"]
    assert len(left) == len(_deleted(modules, planted, number, database))


def test_every_name_of_a_file_is_kept_as_it_was(tmp_path, tool, mount, modules, database, eicar):
    image = tmp_path / "disk.img"
    with open(image, "wb") as stream:
        stream.truncate(16 << 20)
    tool("mkfs.ext4", "-q", image)
    with mounted(image, "ext4", tmp_path / "m") as root:
        (root / "one").write_bytes(eicar)
        (root / "two").hardlink_to(root / "one")
    point = mount(image, read_only=False)
    done = modules.vmdk_scan(mount_point=point, database=database, quarantine=tmp_path / "kept")
    assert [each["path"] for each in done["quarantined"]] == ["/one", "/two"]
    for each in done["quarantined"]:
        assert pathlib.Path(each["quarantined"]).read_bytes() == eicar
    assert not (point / "one").exists()
    assert not (point / "two").exists()


def _deleted(modules, disk, number, database):
    return modules.vmdk_scan(path=disk, volume=number, database=database)["scan"]["infected"]


KILLED = f"""
import os, signal, sys
from {Clamd.__module__} import Clamd, Limits
engine = Clamd(sys.argv[1], Limits(1 << 20, 10, 2))
print(engine._process.pid, engine._folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_scan_leaves_nothing_for_long(database):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(database)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, folder = done.stdout.split()
    end = time.monotonic() + 60
    while _is_clamd(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _is_clamd(pid)
    with Clamd(str(database), Limits(1 << 20, 10, 2)):
        assert not os.path.exists(folder)


def _is_clamd(pid):
    try:
        return "clamd" in pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii")
    except FileNotFoundError:
        return False


def test_the_time_ends_a_scan_of_free_space_and_that_is_told():
    device, report = MemoryDevice(b"x" * 8192), Report()
    DeletedScan("disk", _Deaf(), Clock(-1), Silent()).run(Area("1", device, None, 0), report)
    assert [each["reason"] for each in report.skipped] == [
        "the time is over: not seen from here on"
    ]
    assert report.timed_out


def test_the_time_ends_a_scan_of_files_and_that_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    report = Report()
    TreeScan(str(tmp_path), None, True, (), Clock(-1), Silent()).run(report)
    assert (report.files, report.timed_out) == (0, True)
    assert [each["path"] for each in report.skipped] == ["/file"]


def test_lists_end_and_what_is_not_in_them_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(report_module, "MOST", 2)
    for number in range(5):
        (tmp_path / f"{number}").mkdir()
        secret = f"machine example.com login web password not-a-real-{number}\n"
        (tmp_path / f"{number}/.netrc").write_text(secret)
    report = Report()
    TreeScan(str(tmp_path), None, True, (), Clock(60), Silent()).run(report)
    found = report.as_dict()
    assert len(found["secrets"]) == 2
    assert "3 more findings are not listed" in found["skipped"][-1]["reason"]
    assert not found["timed_out"]


class _Deaf:
    """An engine that answers for small files only."""

    limits = Limits(1 << 20, 10, 2)

    def scan(self, fd):
        return Verdict(skipped="no answer" if os.fstat(fd).st_size > 1000 else None)


def test_a_window_that_the_engine_did_not_look_at_is_told():
    content = (b"a" * 800).ljust(4096, b"\0") + b"b" * 900
    report = Report()
    device = MemoryDevice(content.ljust(8192, b"\0"))
    DeletedScan("disk", _Deaf(), Clock(60), Silent()).run(Area("1", device, None, 0), report)
    assert [(each["offset"], each["reason"]) for each in report.skipped] == [(0, "no answer")]


def test_text_beyond_what_is_searched_for_secrets_is_told(tmp_path):
    with open(tmp_path / "large", "wb") as stream:
        stream.write(b"nothing\n" * 10_000)
        stream.seek(LARGEST)
        stream.write(b"x")
    report = Report()
    TreeScan(str(tmp_path), None, True, (), Clock(60), Silent()).run(report)
    assert [each["path"] for each in report.skipped] == ["/large"]


def test_a_quarantine_that_others_may_write_to_is_refused(
    planted, tmp_path, mount, modules, database
):
    disk = shutil.copy(planted, tmp_path / "disk.vmdk")
    point = mount(disk, volume="1", transaction=True, read_only=False)
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    failed = modules.fail(
        "vmdk_scan", mount_point=point, database=database, secrets=False, quarantine=place
    )
    assert "others may write" in failed["msg"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o777
    assert (point / "plain.com").exists()


def test_half_a_copy_is_none(planted, tmp_path, tool, mount, modules, database, eicar):
    disk = shutil.copy(planted, tmp_path / "disk.vmdk")
    point = mount(disk, volume="1", transaction=True, read_only=False)
    (point / "large.com").write_bytes(eicar + os.urandom(2 << 20))
    place = tmp_path / "small"
    place.mkdir()
    tool("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", place)
    try:
        failed = modules.fail(
            "vmdk_scan", mount_point=point, database=database, secrets=False, quarantine=place
        )
        assert "no space left" in failed["msg"]
        assert all(path.stat().st_size < 1 << 16 for path in place.iterdir())
        assert (point / "large.com").stat().st_size > 2 << 20
    finally:
        tool("umount", place)
