# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a mount: made, found, refused, taken down."""

import functools
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskInUse,
    DiskNotFound,
    InvalidRequest,
    MissingLibrary,
    MountFailed,
    NoSpace,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import fuse, session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.mountinfo import mounted_at
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.state import StateFolder

pytestmark = pytest.mark.serial
MIB = 1 << 20


def test_nothing_is_mounted_at_first(point):
    assert session.mounted(str(point)) is None
    assert session.unmount(str(point)) is False


def test_mounting_twice_finds_the_first(ext4, way, ask, point):
    first = session.mount(ask(ext4, way))
    assert session.mount(ask(ext4, way, volume="root")) == first
    session.unmount(str(point))


def test_state_tells_whether_a_request_is_satisfied(ext4, way, ask, point):
    state = session.mount(ask(ext4, way))
    session.unmount(str(point))
    assert state.satisfies(ask(ext4, way))
    assert not state.satisfies(ask(ext4, way, read_only=True))
    assert not state.satisfies(ask(ext4, way, volume="data"))


def test_other_disk_on_the_same_mount_point_is_refused(ext4, way, ask, point, image, tool):
    other = image(16 * MIB, "other.img")
    tool("mkfs.ext4", "-q", other)
    state = session.mount(ask(ext4, way))
    with pytest.raises(MountFailed, match="something else is mounted there"):
        session.mount(ask(other, way))
    assert session.mounted(str(point)) == state
    session.unmount(str(point))


def test_foreign_mount_is_refused_and_let_be(ext4, way, ask, point, tool):
    point.mkdir(parents=True)
    tool("mount", "-t", "tmpfs", "mine", point)
    try:
        with pytest.raises(MountFailed, match=r"something else is mounted there, found mine"):
            session.mount(ask(ext4, way))
        assert session.mounted(str(point)) is None
        assert os.path.ismount(point)
    finally:
        tool("umount", point)


def test_directories_that_were_made_are_removed(ext4, way, ask, point):
    session.mount(ask(ext4, way))
    session.unmount(str(point))
    assert not point.parent.exists()


def test_directory_that_was_there_stays(ext4, way, ask, point):
    point.mkdir(parents=True)
    session.mount(ask(ext4, way))
    session.unmount(str(point))
    assert point.is_dir()


def test_mount_point_that_is_a_file_is_refused(ext4, way, ask, point):
    point.parent.mkdir()
    point.write_text("precious")
    with pytest.raises(InvalidRequest, match="not a directory"):
        session.mount(ask(ext4, way))
    assert point.read_text() == "precious"


def test_busy_mount_names_its_users_and_undoes_nothing(ext4, way, ask, point):
    state = session.mount(ask(ext4, way))
    with open(point / "file", "w") as stream:
        stream.write("half")
        with pytest.raises(MountFailed, match=rf"still in use.*\({os.getpid()}\)"):
            session.unmount(str(point))
        assert session.mounted(str(point)) == state
        stream.write(" and half")
    assert (point / "file").read_text() == "half and half"
    session.unmount(str(point))


def test_mount_inside_the_mount_is_named(ext4, way, ask, point, tool):
    session.mount(ask(ext4, way))
    (point / "proc").mkdir()
    tool("mount", "-t", "tmpfs", "inner", point / "proc")
    with pytest.raises(MountFailed, match=f"a mount at {point}/proc"):
        session.unmount(str(point))
    tool("umount", point / "proc")
    session.unmount(str(point))


def test_unmounted_by_hand_is_seen_and_cleaned(ext4, way, ask, point, tool):
    session.mount(ask(ext4, way))
    tool("umount", point)
    assert session.mounted(str(point)).problem == "it was unmounted by somebody else"
    assert session.sweep() == [str(point)]


def test_sweep_lets_healthy_mounts_be(ext4, way, ask, point):
    state = session.mount(ask(ext4, way))
    assert session.sweep() == []
    assert session.mounted(str(point)) == state
    session.unmount(str(point))


def test_disk_mounted_writable_is_locked(ext4, ask, point, tmp_path):
    session.mount(ask(ext4, "flat"))
    with pytest.raises(DiskInUse, match="somebody else has it open"):
        session.mount(ask(ext4, "flat", read_only=True, at=tmp_path / "second"))
    session.unmount(str(point))


def test_disk_mounted_read_only_may_be_mounted_so_again(ext4, ask, point, tmp_path):
    session.mount(ask(ext4, "flat", read_only=True))
    session.mount(ask(ext4, "flat", read_only=True, at=tmp_path / "second"))
    session.unmount(str(tmp_path / "second"))
    session.unmount(str(point))


def test_flat_file_that_is_not_there(ext4, point, leftovers):
    source = session.FlatFile("/no/such/file", 0, MIB)
    with pytest.raises(DiskNotFound):
        session.mount(session.MountRequest(source, "x", str(point)))
    assert (leftovers(), point.parent.exists()) == ([], False)


def refuse_to_open():
    raise CorruptDisk("bad grain", path="/srv/web01.vmdk", offset=512, hint="Restore it.")


def test_error_of_opening_comes_back_whole(point, leftovers):
    with pytest.raises(CorruptDisk) as caught:
        session.mount(session.MountRequest(refuse_to_open, "x", str(point)))
    error = caught.value
    assert (error.path, error.offset, error.hint) == ("/srv/web01.vmdk", 512, "Restore it.")
    assert (leftovers(), point.parent.exists()) == ([], False)


def crash_while_opening():
    raise RuntimeError("a bug")


def test_crash_while_opening_is_told_with_the_log(point, leftovers):
    with pytest.raises(MountFailed, match="RuntimeError: a bug"):
        session.mount(session.MountRequest(crash_while_opening, "x", str(point)))
    assert leftovers() == []


def test_missing_library_is_named(ext4, ask, monkeypatch, leftovers):
    monkeypatch.setitem(sys.modules, "mfusepy", None)
    with pytest.raises(MissingLibrary, match="pip install mfusepy"):
        session.mount(ask(ext4, "served"))
    assert leftovers() == []


def test_missing_libfuse_is_named(ext4, ask, monkeypatch, leftovers):
    monkeypatch.setattr(fuse, "_LIBRARIES", ("libfuse-none.so",))
    with pytest.raises(MissingLibrary, match="apt-get install fuse3"):
        session.mount(ask(ext4, "served"))
    assert leftovers() == []


def test_daemon_is_a_child_of_nobody_and_keeps_nothing_open(ext4, ask, point, tmp_path):
    with open(tmp_path / "secret", "w"):
        pid = session.mount(ask(ext4, "served")).daemon
        links = [os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        cwd = os.readlink(f"/proc/{pid}/cwd")
        own_session = os.getsid(pid) != os.getsid(0)
    session.unmount(str(point))
    ours = [link for link in links if link.startswith(str(tmp_path))]
    assert sorted(map(os.path.basename, set(ours))) == ["daemon.log", "disk.img"]
    assert (cwd, own_session) == ("/", True)


@pytest.mark.parametrize("left", ["kept.append(stream)", "stream = [stream]; stream += [stream]"])
def test_what_dies_in_the_daemon_closes_nothing_of_it(ext4, point, tmp_path, left):
    """Files of the parent, kept or garbage in a circle: their numbers may be others' by then."""
    code = f"""
import functools, gc, sys
sys.path[:0] = {sys.path!r}
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
class Device(RawDevice):
    def readinto(self, offset, buffer):
        kept.clear()
        gc.collect()
        super().readinto(offset, buffer)
gc.disable()
kept = []
for number in range(20):
    stream = open({str(tmp_path / "file")!r} + str(number), "wb")
    {left}
source = functools.partial(Device.open, {str(ext4)!r})
print(session.mount(session.MountRequest(source, "x", {str(point)!r})).healthy)
"""
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert (point / "lost+found").is_dir()
    session.unmount(str(point))


def test_module_can_end_while_its_output_is_read(ext4, ask, point, tmp_path):
    """As Ansible does: it waits until nobody holds the module's standard output."""
    code = f"""
import functools, sys
sys.path[:0] = {sys.path!r}
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
source = functools.partial(RawDevice.open, {str(ext4)!r}, writable=True)
print(session.mount(session.MountRequest(source, "x", {str(point)!r}, None, False)).healthy)
"""
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "")
    (point / "mark").write_text("here")
    session.unmount(str(point))


def test_code_may_vanish_with_the_module(ext4, point, tmp_path, tool):
    """As Ansible does: the module's code is an archive, removed when the module ends."""
    folder = pathlib.Path(session.__file__).parents[1]
    package = "ansible_collections/vdisk/lifecycle/plugins/module_utils"
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        for part in pathlib.Path(package, "_guest").parents:
            if part != pathlib.Path("."):
                archive.writestr(f"{part}/__init__.py", "")
        for room in ("_device", "_guest"):
            for path in (folder / room).rglob("*.py"):
                archive.write(path, f"{package}/{path.relative_to(folder)}")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "code.zip")!r})
sys.path[1:] = [path for path in sys.path[1:] if "collections" not in path]
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
assert ".zip" in session.__file__
source = lambda: RawDevice.open({str(ext4)!r}, writable=True)
session.mount(session.MountRequest(source, "x", {str(point)!r}, None, False))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True, env=environment)
    (tmp_path / "code.zip").unlink()
    (point / "mark").write_text("here")
    tool("fstrim", point)
    session.unmount(str(point))
    assert tool("debugfs", "-R", "cat /mark", ext4) == "here"


class Full(RawDevice):
    """A disk whose storage is full as soon as it is told so."""

    def write(self, offset, data):
        if os.path.exists(self.name + ".full"):
            raise NoSpace("no space left", path=self.name)
        super().write(offset, data)


def test_failed_writes_are_told_when_unmounting(ext4, point, leftovers):
    source = functools.partial(Full.open, ext4, writable=True)
    session.mount(session.MountRequest(source, "x", str(point), None, False))
    pathlib.Path(f"{ext4}.full").touch()
    (point / "file").write_bytes(b"x" * MIB)
    with pytest.raises(MountFailed, match=r"writes failed while it was mounted.*no space left"):
        session.unmount(str(point))
    assert leftovers() == []


def test_another_mount_in_its_place_is_not_taken_for_it(ext4, way, ask, point, tool, image):
    """Its number and its loop device may be those that ours had."""
    other = image(16 << 20)
    tool("mkfs.ext4", "-q", other)
    session.mount(ask(ext4, way))
    tool("umount", point)
    point.mkdir(parents=True, exist_ok=True)
    tool("mount", "-o", "loop", other, point)
    try:
        with_its_number(point)
        assert session.mounted(str(point)).problem == "it was unmounted by somebody else"
        session.sweep()
        assert os.path.ismount(point)
    finally:
        tool("umount", point)


def with_its_number(point):
    """As if the kernel had used both again."""
    folder = StateFolder.of(str(point))
    journal = folder.load()
    there = mounted_at(str(point))
    journal.parts[0].number, journal.parts[0].device = there.number, there.source
    folder.save(journal)
