# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_restore brings disks that were worked on elsewhere back to the machine that is off."""

from __future__ import annotations

PLACE = 1 << 19
MIB = 1 << 20


def worked_on(room, folder, name, disk="scsi0:0"):
    """A copy of a disk of the newest point, in which something was written."""
    path = folder / "work.img"
    room.restore(restore_point=f"{name}@latest#{disk}", dest=str(path))
    with open(path, "r+b") as stream:
        stream.seek(PLACE)
        stream.write(b"patched")
    return path


def files_uuids(room, name):
    """As they stand in the files of its disks."""
    return [room.lab.uuid_of(disk.backing.fileName) for disk in room.disks(name)]


def test_only_what_was_worked_on_is_new(room, road, tmp_path):
    name = room.machine(sizes=(2, 1))
    before = room.back_up(name)
    path = worked_on(room, tmp_path, name)
    uuids = files_uuids(room, name)
    words = {"restore_point": f"{name}@latest", "vm": name, "transport": [road]}
    words["disks_from"] = {"scsi0:0": str(path)}

    foretold = room.restore(**words, force=True, check_mode=True)
    assert foretold["changed"] and room.content(name) == before
    result = room.restore(**words, force=True, verify=True)

    assert result["changed"]
    assert [each["changed"] for each in result["disks"]] == [True, False]
    assert room.content(name) == [path.read_bytes(), before[1]]
    assert files_uuids(room, name) == uuids
    assert room.mark(name) is None
    assert not room.restore(**words)["changed"]

    room.restore(restore_point=f"{name}@latest", vm=name, transport=[road], force=True)
    assert room.content(name) == before  # the way back


def test_a_template_is_one_again(room, tmp_path):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    path = worked_on(room, tmp_path, name)
    room.vm(name).MarkAsTemplate()
    words = {"restore_point": f"{name}@latest", "vm": name, "transport": ["datastore"]}

    assert "is a template" in room.refused(**words, force=True)
    assert room.restore(**words, disks_from={"scsi0:0": str(path)}, force=True)["changed"]

    assert room.vm(name).config.template
    assert room.content(name) == [path.read_bytes()]
    assert room.mark(name) is None


def test_disks_that_do_not_fit_are_refused(room, tmp_path):
    name = room.machine(sizes=(1, 2))
    before = room.back_up(name)
    path = tmp_path / "other.img"
    path.write_bytes(bytes(2 * MIB))
    words = {"restore_point": f"{name}@latest", "vm": name, "force": True}
    own = {"scsi0:1": str(path)}
    assert "of another size for scsi0:0" in room.refused(**words, disks_from={"scsi0:0": str(path)})
    assert "has none of that name" in room.refused(**words, disks_from={"scsi0:9": str(path)})
    assert "the same disk for several" in room.refused(
        **words, disks_from={**own, "scsi0:0": str(path)}
    )
    assert "configuration restores none" in room.refused(
        **words, disks_from=own, what="configuration"
    )
    words["restore_point"] += "#scsi0:0"
    assert "has none of that name" in room.refused(**words, disks_from=own)
    assert room.content(name) == before
