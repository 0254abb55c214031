# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions over real file systems, written by the kernel, judged by qemu-img and fsck."""

import contextlib
import functools
import hashlib
import os
import random
import signal
import subprocess
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    InvalidRequest,
    MountFailed,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job import (
    mount_disk,
    transact_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.mount_disk import MountJob
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transact_disk import TransactJob
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transaction import (
    ending,
    pending,
)

pytestmark = pytest.mark.serial
ACCESS = Access()
MIB = 1 << 20
KINDS = {  # how the disk is made of an image, and how its file system is judged
    "ext4-sparse": ("ext4", "monolithicSparse"),
    "xfs-flat": ("xfs", "monolithicFlat"),
    "ext4-split": ("ext4", "twoGbMaxExtentSparse"),
    "xfs-raw": ("xfs", None),
}
MAKE = {"ext4": ("mkfs.ext4", "-q", "-L", "root"), "xfs": ("mkfs.xfs", "-q", "-L", "root")}
JUDGE = {"ext4": ("e2fsck", "-f", "-n"), "xfs": ("xfs_repair", "-n", "-f")}


@pytest.fixture(autouse=True)
def host_state(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "state"))


class Guest:
    """A disk with one file system, and the transaction over it."""

    def __init__(self, tmp_path, tool, kind, point):
        self.filesystem, subformat = KINDS[kind]
        self.tool, self.point = tool, point
        image = tmp_path / "disk.img"
        with open(image, "wb") as stream:
            stream.truncate(320 * MIB if self.filesystem == "xfs" else 48 * MIB)
        tool(*MAKE[self.filesystem], image)
        self.path = str(image)
        if subformat is not None:
            self.path = str(tmp_path / "disk.vmdk")
            options = ("-O", "vmdk", "-o", f"subformat={subformat}")
            tool("qemu-img", "convert", "-f", "raw", *options, image, self.path)
            image.unlink()
        self.folder = tmp_path

    def content(self):
        """The digest of what qemu reads."""
        raw = self.as_raw()
        with open(raw, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        raw.unlink()
        return found

    def as_raw(self):
        raw = self.folder / "judged.raw"
        kind = "vmdk" if self.path.endswith(".vmdk") else "raw"
        self.tool("qemu-img", "convert", "-f", kind, "-O", "raw", self.path, raw)
        return raw

    def require_healthy(self):
        raw = self.as_raw()
        self.tool(*JUDGE[self.filesystem], raw)
        raw.unlink()

    def files(self):
        """Of the disk itself: name -> digest."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.iterdir()
            if path.is_file()
        }

    def own_files(self):
        """Without the overlay, to which the kernel writes when it likes."""
        found = self.files()
        return {name: found[name] for name in found if ".vdisk-overlay" not in name}

    def mount(self, overlay=None):
        begun = transact_disk.begin(ACCESS, [self.path], overlay)
        opener = begun.openers(ACCESS)[self.path]
        return session.mount(
            session.MountRequest(
                opener,
                self.path,
                str(self.point),
                read_only=False,
                transaction=begun.as_dict(),
            )
        )

    def unmount(self):
        session.unmount(str(self.point))

    def job(self, *, mounted=True, **options):
        paths = () if mounted else (self.path,)
        return TransactJob(ACCESS, str(self.point), paths, **options)

    def commit(self, **options):
        return transact_disk.plan_committed(self.job(**options)).run(False)

    def discard(self, **options):
        return transact_disk.plan_discarded(self.job(**options)).run(False)

    def seen(self):
        """Names in the file system, without the transaction."""
        request = session.MountRequest(lambda: ACCESS.open(self.path), self.path, str(self.point))
        session.mount(request)
        found = sorted(os.listdir(self.point))
        self.unmount()
        return [name for name in found if name != "lost+found"]


@pytest.fixture(params=KINDS)
def guest(request, tmp_path, tool, point):
    return Guest(tmp_path, tool, request.param, point)


@pytest.fixture
def small(tmp_path, tool, point):
    return Guest(tmp_path, tool, "ext4-sparse", point)


def patch(point):
    (point / "app.conf").write_text("new\n")
    (point / "data").write_bytes(random.Random(7).randbytes(3 * MIB))


@pytest.mark.parametrize("guest", ["ext4-sparse", "xfs-flat"], indirect=True)
def test_discarded_to_the_last_byte(guest, leftovers):
    before = guest.files()
    guest.mount()
    patch(guest.point)
    result = guest.discard()
    assert result["changed"]
    assert result["transaction"]["state"] == "discarded"
    assert guest.files() == before
    assert leftovers() == []
    assert not guest.discard(mounted=False)["changed"]


def test_committed(guest, leftovers):
    before = guest.content()
    guest.mount()
    patch(guest.point)
    assert guest.content() == before
    guest.unmount()
    assert guest.seen() == []
    guest.mount()
    assert (guest.point / "app.conf").read_text() == "new\n"
    result = guest.commit()
    assert result["changed"]
    assert result["transaction"]["state"] == "committed"
    assert guest.seen() == ["app.conf", "data"]
    guest.require_healthy()
    assert leftovers() == []
    assert not [name for name in os.listdir(guest.folder) if ".vdisk" in name]
    assert not guest.commit(mounted=False)["changed"]


def test_check_mode_changes_nothing(small):
    small.mount()
    patch(small.point)
    before = small.own_files()
    plan = transact_disk.plan_committed(small.job(changes=True))
    result = plan.run(check_mode=True)
    assert result["changed"]
    assert result["changes"]["files"]["added"] == ["/app.conf", "/data"]
    assert plan.diff["after"]["changes"] == result["changes"]
    assert session.mounted(str(small.point)).healthy
    assert small.own_files() == before
    small.discard()


def test_server_killed(small):
    """The disk is untouched, and nothing is committed that nobody has looked at again."""
    before = small.content()
    state = small.mount()
    patch(small.point)
    os.sync()
    os.kill(state.daemon, signal.SIGKILL)
    with pytest.raises((InvalidRequest, MountFailed)):
        small.commit()
    assert small.content() == before
    session.sweep()
    with pytest.raises(InvalidRequest, match="was not closed in order"):
        small.commit(mounted=False)
    small.mount()
    assert (small.point / "app.conf").read_text() == "new\n"
    small.commit()
    assert small.seen() == ["app.conf", "data"]
    small.require_healthy()


def test_full_overlay(small, tmp_path, tool):
    """The guest hears of it late or never, so the transaction cannot be committed."""
    room = tmp_path / "room"
    room.mkdir()
    tool("mount", "-t", "tmpfs", "-o", "size=4m", "room", room)
    try:
        before = small.content()
        small.mount(overlay=str(room / "writes"))
        (small.point / "data").write_bytes(random.Random(7).randbytes(20 * MIB))
        with pytest.raises(MountFailed, match="writes failed"):
            small.commit()
        with pytest.raises(InvalidRequest, match="writes to this transaction have failed"):
            small.commit(mounted=False)
        with pytest.raises(InvalidRequest, match="writes to this transaction have failed"):
            small.mount()
        assert small.discard(mounted=False)["changed"]
        assert os.listdir(room) == []
        assert small.content() == before
    finally:
        tool("umount", room)


def test_discarding_what_has_failed(small, tmp_path, tool):
    room = tmp_path / "room"
    room.mkdir()
    tool("mount", "-t", "tmpfs", "-o", "size=4m", "room", room)
    try:
        small.mount(overlay=str(room / "writes"))
        (small.point / "data").write_bytes(random.Random(7).randbytes(20 * MIB))
        assert "writes failed" in small.discard()["warnings"][0]
        assert os.listdir(room) == []
    finally:
        tool("umount", room)


def test_disk_that_somebody_reads(small):
    small.mount()
    patch(small.point)
    small.unmount()
    with ACCESS.open(small.path), pytest.raises(DiskInUse):
        small.commit(mounted=False)
    assert small.seen() == []
    small.commit(mounted=False)


@pytest.mark.parametrize("guest", ["xfs-flat", "xfs-raw"], indirect=True)
def test_begun_while_the_disk_is_mounted_for_writing(guest, monkeypatch, leftovers):
    """Whoever comes between the look at a flat disk and its lock is seen under the lock."""
    mark_changed = mount_disk._mark_changed

    def begin_after(*args):
        mark_changed(*args)
        transact_disk.begin(ACCESS, [guest.path], None)

    monkeypatch.setattr(mount_disk, "_mark_changed", begin_after)
    job = MountJob(guest.path, str(guest.point), ACCESS, read_only=False)
    with pytest.raises(InvalidRequest, match="pending transaction"):
        mount_disk.plan_mounted(job).run(False)
    assert leftovers() == []
    assert guest.discard(mounted=False)["changed"]


def test_committing_killed_at_random_moments(tmp_path, tool, point):
    """As before, or finished by the next run."""
    guest = Guest(tmp_path, tool, "ext4-sparse", point)
    dice, seen = random.Random(11), set()
    for attempt in range(4):
        before, names = guest.content(), guest.seen()
        guest.mount()
        (point / f"data{attempt}").write_bytes(dice.randbytes(2 * MIB))
        guest.unmount()
        within = _Killer(attempt // 2) if attempt % 2 else Silent()
        seconds = 5.0 if attempt % 2 else dice.uniform(0.0, 0.08)
        _killed(functools.partial(guest.commit, mounted=False, progress=within), seconds)
        found = pending.found(ACCESS, [guest.path])
        seen.add(found.mark.state if found else None)
        if found is not None and found.mark.state == "pending":
            assert guest.content() == before
            assert guest.seen() == names
        elif found is not None and found.mark.state == "committing":
            with pytest.raises(InvalidRequest, match="holds a part of its transaction only"):
                ACCESS.open(guest.path)
        guest.commit(mounted=False)
        assert guest.seen() == sorted([*names, f"data{attempt}"])
        guest.require_healthy()
    assert "committing" in seen


class _Killer(Silent):
    """Kills its process once so many runs have been merged."""

    def __init__(self, runs):
        self.left = runs

    def advance(self, _count):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def _killed(action, seconds):
    """Within so many seconds, or earlier by itself."""
    child = os.fork()
    if child == 0:
        try:
            action()
        finally:
            os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_killed_at_random_moments_of_its_life(small, point):
    """With its server, too, as when the host loses power: as before, or as after."""
    dice, names = random.Random(5), []
    for attempt in range(5):
        before, new = small.files(), f"data{attempt}"
        _killed(functools.partial(_life, small, new), dice.uniform(0.05, 0.35))
        state = session.mounted(str(point))
        if state is not None and state.daemon is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(state.daemon, signal.SIGKILL)
        session.sweep()
        found = pending.found(ACCESS, [small.path])
        if found is not None and found.mark.state == "pending":
            small.discard(mounted=False)
        else:
            small.commit(mounted=False)
        if small.files() != before:
            names.append(new)
        assert small.seen() == sorted(names)
        small.require_healthy()


def _life(guest, name):
    guest.mount()
    (guest.point / name).write_bytes(random.Random(7).randbytes(MIB))
    guest.commit()


def test_what_it_changes(small):
    small.mount()
    for name in ("kept", "gone", "written", "owned", "mode", "touched", "same"):
        (small.point / name).write_text(f"{name}\n")
    (small.point / "etc").mkdir()
    (small.point / "etc" / "old").symlink_to("/etc/passwd")
    small.commit()
    small.mount()
    (small.point / "gone").unlink()
    (small.point / "written").write_text("other\n")
    os.chown(small.point / "owned", 7, 7)
    (small.point / "mode").chmod(0o600)
    os.utime(small.point / "touched")
    (small.point / "same").write_text("same\n")
    os.setxattr(small.point / "kept", "user.note", b"x")
    (small.point / "etc" / "old").unlink()
    (small.point / "etc" / "old").symlink_to("/etc/shadow")
    os.mkfifo(small.point / "etc" / "pipe")
    wanted = {
        "added": ["/etc/pipe"],
        "removed": ["/gone"],
        "changed": ["/etc/old", "/kept", "/mode", "/owned", "/written"],
        "more": {"added": 0, "removed": 0, "changed": 0},
        "problems": [],
    }
    assert transact_disk.changes_of(small.job())["files"] == wanted
    small.unmount()
    before = small.files()
    assert transact_disk.changes_of(small.job(mounted=False))["files"] == wanted
    assert small.files() == before
    small.discard(mounted=False)


def test_packages_that_changed(small):
    entry = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n\n"
    small.mount()
    database = small.point / "var" / "lib" / "dpkg" / "status"
    database.parent.mkdir(parents=True)
    database.write_text(entry.format("bash", "5.1") + entry.format("vim", "9"))
    small.commit()
    small.mount()
    database.write_text(entry.format("bash", "5.2") + entry.format("less", "6"))
    packages = transact_disk.changes_of(small.job())["packages"]
    small.discard()
    told = {kind: [(one["name"], one["from"], one["to"]) for one in packages[kind]]
            for kind in packages}  # fmt: skip
    assert told == {
        "added": [("less", None, "6")],
        "removed": [("vim", "9", None)],
        "changed": [("bash", "5.1", "5.2")],
    }


def test_block_device(tmp_path, tool, point):
    """Its mark lies with this host, and every other name of the device leads to it."""
    guest = Guest(tmp_path, tool, "xfs-raw", point)
    image, guest.path = guest.path, tool("losetup", "-f", "--show", guest.path).strip()
    try:
        guest.mount()
        patch(point)
        guest.unmount()
        other = tmp_path / "by-another-name"
        other.symlink_to(guest.path)
        with pytest.raises(InvalidRequest, match="has a pending transaction"):
            ACCESS.open(str(other), writable=True)
        guest.commit(mounted=False)
        assert guest.seen() == ["app.conf", "data"]
        assert os.listdir(tmp_path / "state" / "overlays") == []
        assert os.listdir(tmp_path / "state" / "transactions") == []
    finally:
        tool("losetup", "-d", guest.path)
    guest.path = image
    guest.require_healthy()


def test_nbd_server(tmp_path, tool, point):
    guest = Guest(tmp_path, tool, "ext4-sparse", point)
    path, socket = guest.path, tmp_path / "nbd.sock"
    argv = ["qemu-nbd", "-f", "vmdk", "-k", str(socket), "-e", "4", "-t", path]
    server = subprocess.Popen(argv)
    try:
        end = time.monotonic() + 60
        while not socket.exists() and time.monotonic() < end:
            time.sleep(0.02)
        guest.path = f"nbd+unix:///?socket={socket}"
        guest.mount()
        patch(point)
        guest.unmount()
        with pytest.raises(InvalidRequest, match="has a pending transaction"):
            ACCESS.open(guest.path, writable=True)
        guest.commit(mounted=False)
    finally:
        server.terminate()
        server.wait()
    guest.path = path
    assert guest.seen() == ["app.conf", "data"]
    guest.require_healthy()


def test_commit_puts_nothing_on_a_restored_disk(small):
    """Another copy of it was put in its place."""
    small.mount()
    patch(small.point)
    small.unmount()
    copy = small.folder / "copy"
    with open(small.path, "rb") as stream:
        copy.write_bytes(stream.read())
    os.replace(copy, small.path)
    before = small.content()
    for action in (lambda: small.commit(mounted=False), small.mount):
        with pytest.raises(Exception, match="was changed under its pending transaction"):
            action()
    assert small.content() == before
    small.discard(mounted=False)


def test_trimmed_disk_is_small(small):
    """Trimmed as a whole."""
    begun = pending.begin(ACCESS, [small.path], None)
    with begun.openers(ACCESS)[small.path]() as disk:
        disk.zero(0, disk.size)
    transfer = ending.commit(ACCESS, begun, Silent())
    assert transfer.bytes_written == 0 < transfer.bytes_zero < MIB  # the rest was zeros before
    raw = small.as_raw()
    assert not any(raw.read_bytes())
    assert os.stat(small.path).st_blocks * 512 < 8 * MIB
