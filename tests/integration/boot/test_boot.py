# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks are started, whatever they are; what comes up is told from what does not."""

import hashlib
import os
import pathlib
import struct
import subprocess
import sys
import zlib

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.run import Proof
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job import boot_disk, transact_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.boot_disk import BootJob
from ansible_collections.vdisk.lifecycle.tests.guests import tiny

MODULES = "ansible_collections.vdisk.lifecycle.plugins.modules"
KINDS = ("monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat", "streamOptimized")


def digests(folder):
    files = (path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def vmdk(source, kind, name=None):
    path = source.with_name(f"{name or kind}.vmdk")
    subprocess.run(
        ["qemu-img", "convert", "-O", "vmdk", "-o", f"subformat={kind}", source, path], check=True
    )
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_of_vmdk_starts(kind, sector, boot):
    found = boot(vmdk(sector(), kind))
    assert (found["up"], found["how"], found["firmware"]) == (True, "marker", "bios")


@pytest.mark.parametrize("bus", ["virtio", "ide", "sata", "nvme", "pvscsi", "lsisas", "lsilogic"])
def test_every_bus_starts(bus, sector, boot):
    assert boot(sector(), bus=bus)["up"]


def test_a_guest_reads_all_its_disks_and_writes_none_of_them(guest, sector, boot, tmp_path):
    """One boot for much that costs one."""
    further = [
        vmdk(sector(b"NUMBER" + b"%d" % n, f"{n}.img"), kind) for n, kind in enumerate(KINDS)
    ]
    script = (
        "for disk in b c d e; do md5sum /dev/vd$disk; done\n"
        "for disk in a b c d e; do dd if=/dev/zero of=/dev/vd$disk bs=1M count=1; done; sync\n"
        "echo cards: $(ls /sys/class/net); echo 'tiny login: '\n"
    )
    first = vmdk(guest(script), "streamOptimized", "guest")
    before = digests(tmp_path)
    found = boot(first, *further, marker=r"^tiny login:", bus="virtio")
    assert found["up"], found
    assert (found["problem"], found["warnings"]) == (None, [])
    assert digests(tmp_path) == before
    for number in range(len(KINDS)):
        wanted = hashlib.md5((tmp_path / f"{number}.img").read_bytes()).hexdigest()
        assert f"{wanted}  /dev/vd{'bcde'[number]}" in found["console_tail"]
    assert "cards: lo" in found["console_tail"]


def test_a_restore_point_starts_as_it_was(sector, boot, tmp_path, repository):
    access = repository(sector(b"THEN_IT", "web01.img"))
    sector(b"NOW_IT_", "web01.img")
    found = boot("web01@latest", access=access, marker="THEN_IT|NOW_IT_")
    assert "THEN_IT" in "".join(found["console_tail"]), found


@pytest.fixture
def repository(tmp_path):
    """Backs a disk up; what opens its backups."""
    pytest.importorskip("blake3")

    def back_up(disk):
        url = str(tmp_path / "repository")
        for module, options in (
            ("vmdk_repository", f'"url": "{url}"'),
            ("vmdk_backup", f'"repository": "{url}", "path": "{disk}"'),
        ):
            arguments = f'{{"ANSIBLE_MODULE_ARGS": {{{options}, "passphrase": "secret"}}}}'
            subprocess.run([sys.executable, "-m", f"{MODULES}.{module}", arguments], check=True)
        return Access(repository=url, passphrase="secret")

    return back_up


def test_a_kernel_that_panics_is_told_early(guest, boot):
    found = boot(guest("echo c > /proc/sysrq-trigger\n"), marker="never", seconds=300)
    assert not found["up"]
    assert found["seconds"] < 290
    assert "kernel panics" in found["problem"]


def test_a_broken_boot_sector_is_told_early(sector, boot):
    path = sector()
    with open(path, "r+b") as stream:
        stream.seek(510)
        stream.write(b"\0\0")
    found = boot(path, seconds=300)
    assert found["problem"] == "the BIOS finds nothing to start"


def test_what_hangs_ends_in_time_with_its_last_words(sector, boot):
    for seconds in (5, 100):  # where the machine is slow, it needs more to say anything
        found = boot(sector(b"NOTHING"), marker="something else", seconds=seconds)
        assert found["problem"] == f"it did not come up within {seconds} seconds"
        if "NOTHING" in str(found["console_tail"]):
            break
    assert "NOTHING" in found["console_tail"][-1]


def test_the_marker_proves_nothing_where_the_agent_is_waited_for(sector, boot):
    assert not boot(sector(), seconds=2, wait_for=("agent",))["up"]


def test_the_screen_is_kept_as_a_picture(sector, boot, tmp_path):
    found = boot(sector(), screenshot=str(tmp_path / "screen.png"))
    data = pathlib.Path(found["screenshot"]).read_bytes()
    width, height = struct.unpack_from(">II", data, 16)
    assert (data[:8], width, height) == (b"\x89PNG\r\n\x1a\n", 720, 400)
    length = struct.unpack_from(">I", data, 33)[0]
    pixels = zlib.decompress(data[41 : 41 + length])
    assert len(pixels) == height * (1 + 3 * width)
    assert len(set(pixels)) > 1  # the BIOS has written on it


def test_a_disk_that_cannot_be_read_is_named(sector, boot):
    path = vmdk(sector(), "streamOptimized")
    with open(path, "r+b") as stream:
        stream.seek(1 << 16)  # the first grain
        stream.write(bytes(200))
    with pytest.raises(CorruptDisk, match="streamOptimized"):
        boot(path)


def test_what_cannot_be_read_is_told_of_a_machine_that_is_up(guest, boot, tmp_path):
    with open(tmp_path / "data.img", "wb") as stream:
        stream.write(os.urandom(1 << 20))
    data = vmdk(tmp_path / "data.img", "streamOptimized")
    with open(data, "r+b") as stream:
        stream.seek(600 << 10)
        stream.write(bytes(4096))
    script = "dd if=/dev/vdb of=/dev/null bs=64k\n" + tiny.PROMPT
    found = boot(guest(script), data, marker="^tiny login:", bus="virtio")
    assert found["up"], found
    assert "a disk could not be read" in found["problem"]
    assert found["warnings"] == [found["problem"]]


def test_a_pending_transaction_is_seen_and_stays(sector, boot, tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    path = vmdk(sector(b"BEFORE_"), "monolithicSparse")
    transaction = transact_disk.begin(Access(), [str(path)], None)
    [device] = [opener() for opener in transaction.openers(Access()).values()]
    patched = sector(b"PATCHED").read_bytes()[:512]
    device.write(0, patched)
    device.flush()
    device.close()
    before = digests(tmp_path)
    found = boot(path, transaction=True, marker="PATCHED|BEFORE_")
    assert "PATCHED" in "".join(found["console_tail"]), found
    found = boot(path, marker="PATCHED|BEFORE_")
    assert "BEFORE_" in "".join(found["console_tail"]), found
    assert digests(tmp_path) == before


def test_a_transaction_must_be_there_to_be_seen(sector, boot):
    with pytest.raises(InvalidRequest, match="no pending transaction"):
        boot(vmdk(sector(), "monolithicSparse"), transaction=True)


def test_check_mode_tells_what_it_would_start_and_does_not(sector, monkeypatch):
    job = BootJob((str(sector()),), Access(), accelerator="tcg")
    monkeypatch.setattr(boot_disk, "run", None)
    found = boot_disk.plan_boot(job).run(True)
    assert found["changed"] is False
    assert found["boot"]["up"] is None
    assert (found["boot"]["machine"], found["boot"]["bus"]) == ("pc", "virtio")


def test_what_did_not_come_up_fails_with_all_that_is_known(sector):
    proof = Proof(marker="never", seconds=3)
    job = BootJob((str(sector()),), Access(), proof, accelerator="tcg")
    found = boot_disk.plan_boot(job).run(False)
    assert found["failed"]
    assert "did not come up within 3 seconds" in found["msg"]
    assert found["boot"]["up"] is False
