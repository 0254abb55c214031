# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks as files of an NFS datastore: NFS-Ganesha over our FUSE folder, read by libnfs."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import MountFailed
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.kept_overlay import (
    KeptOverlay,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import detached
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.command import find
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.mountinfo import mounted_at
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.share import ganesha
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.share.daemon import Share
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.share.ganesha import Listen
from ansible_collections.vdisk.lifecycle.tests.integration.share.nfs import library, mounted
from ansible_collections.vdisk.lifecycle.tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.processes import Process

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="NFS-Ganesha wants root"),
    pytest.mark.skipif(not find("ganesha.nfsd"), reason="nfs-ganesha is not installed"),
    pytest.mark.skipif(library() is None, reason="libnfs13 is not installed"),
]

CONTENT = Random(6).randbytes(3 << 20) + bytes(1 << 20)
FLAT = "web01-flat.vmdk"


class Place(NamedTuple):
    """Of one share."""

    base: Path
    state: Path
    folder: Path
    overlay: Path
    port: int

    def start(self) -> Process:
        def open_disks() -> dict[str, KeptOverlay]:
            base = RawDevice.open(str(self.base))
            return {FLAT: KeptOverlay(base, str(self.overlay), "the base")}

        born: list[Process] = []
        listen = Listen("127.0.0.1", self.port, ["127.0.0.1"])
        server = Share(str(self.state), str(self.folder), open_disks, listen)
        try:
            detached.start(server, born.append)
        except BaseException:
            for each in born:
                each.wait(20)
            raise
        return born[0]

    @property
    def leftovers(self) -> list[str]:
        found = ["mount"] if mounted_at(str(self.state / "mnt")) else []
        with socket.socket() as probe:
            probe.settimeout(1)
            return [*found, *(["server"] if not probe.connect_ex(("127.0.0.1", self.port)) else [])]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in ("state", "shared"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "base.raw").write_bytes(CONTENT)
    (tmp_path / "shared/web01.vmdk").write_text("# Disk DescriptorFile\n")
    return Place(
        tmp_path / "base.raw",
        tmp_path / "state",
        tmp_path / "shared",
        tmp_path / "overlay",
        free_port(),
    )


@pytest.fixture
def share(place: Place) -> Iterator[Place]:
    process = place.start()
    yield place
    process.send(signal.SIGTERM)
    assert process.wait(30)
    assert place.leftovers == []
    assert place.base.read_bytes() == CONTENT


def test_a_disk_is_a_file_of_the_datastore(share: Place) -> None:
    with mounted(share.port) as client:
        assert client.read(FLAT, 0, len(CONTENT) + 4096) == CONTENT
        assert client.read("web01.vmdk", 0, 100) == b"# Disk DescriptorFile\n"


def test_what_is_written_stays_beside_the_disk(share: Place) -> None:
    with mounted(share.port) as client:
        client.write(FLAT, 1_000_001, b"written over NFS")
        assert client.read(FLAT, 1_000_000, 18) == (
            CONTENT[1_000_000:1_000_001] + b"written over NFS" + CONTENT[1_000_017:1_000_018]
        )


def test_a_hypervisor_makes_its_own_files(share: Place) -> None:
    with mounted(share.port) as client:
        client.create(".lck-1")
        client.write(".lck-1", 0, b"mine")
        client.rename(".lck-1", "web01.vmx.lck")
        assert client.read("web01.vmx.lck", 0, 10) == b"mine"
        client.unlink("web01.vmx.lck")
    assert sorted(path.name for path in share.folder.iterdir()) == [FLAT, "web01.vmdk"]


@pytest.mark.parametrize("verb", ["unlink", "rename", "grow", "cut"])
def test_the_disk_itself_can_neither_go_nor_change_its_size(share: Place, verb: str) -> None:
    with mounted(share.port) as client:
        attempts = {
            "unlink": lambda: client.unlink(FLAT),
            "rename": lambda: client.rename(FLAT, "other"),
            "grow": lambda: client.write(FLAT, len(CONTENT), b"x"),
            "cut": lambda: client.truncate(FLAT, 512),
        }
        with pytest.raises(OSError) as caught:
            attempts[verb]()
        assert caught.value.errno in (errno.EPERM, errno.EACCES, errno.ENOSPC)
    with mounted(share.port) as client:
        assert client.read(FLAT, 0, len(CONTENT)) == CONTENT


def test_after_a_kill_all_that_was_written_is_there_again(place: Place) -> None:
    process = place.start()
    with mounted(place.port) as client:
        client.write(FLAT, 70_000, b"kept")
    process.send(signal.SIGKILL)
    assert process.wait(10)
    wait_until(lambda: "server" not in place.leftovers)
    process = place.start()
    with mounted(place.port) as client:
        assert (
            client.read(FLAT, 69_999, 6)
            == CONTENT[69_999:70_000] + b"kept" + CONTENT[70_004:70_005]
        )
    process.send(signal.SIGTERM)
    assert process.wait(30)
    assert place.leftovers == []


def test_a_server_that_dies_ends_the_share(place: Place) -> None:
    process = place.start()
    os.kill(int((place.state / "ganesha/ganesha.pid").read_text()), signal.SIGKILL)
    assert process.wait(20)
    assert place.leftovers == []
    assert "NFS-Ganesha ended" in (place.state / "daemon.log").read_text()


def test_a_port_that_is_taken_is_said_so(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", place.port))
        other.listen()
        with pytest.raises(MountFailed, match=f"something answers on port {place.port}"):
            place.start()
    wait_until(lambda: place.leftovers == [])


def test_a_server_without_the_folder_is_no_share(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where nfs-ganesha-vfs is not installed: it answers all the same."""
    lacking = ganesha._CONFIGURATION.replace("Name = VFS", "Name = MISSING")
    monkeypatch.setattr(ganesha, "_CONFIGURATION", lacking)
    with pytest.raises(MountFailed, match=r"does not serve the folder.*nfs-ganesha-vfs"):
        place.start()
    wait_until(lambda: place.leftovers == [])


def wait_until(done: object) -> None:
    end = time.monotonic() + 20
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)
