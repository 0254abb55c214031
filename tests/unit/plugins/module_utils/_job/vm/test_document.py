# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore point holds of a machine comes out as it went in, or is called damaged."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    RepositoryDamaged,
    RestorePointNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import only_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm import document
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)

WHOLE = document.VmDocument({"name": "wéb01"}, b"\x00\xff", 'a = "b"\n', ("its tags",))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_CACHE_DIR", str(tmp_path / "cache"))
    return create_repository(str(tmp_path / "repository"), encryption="none")


def back_up(repository, *contents, mode="auto"):
    """A point of one disk and what is known beside."""
    disks = [DiskSource("scsi0:0", "Hard disk 1", MemoryDevice(b"\1" * 512), "", "", key=2000)]
    disks += [
        DiskSource(
            document.NAME, document.NAME, MemoryDevice(content), "", "", dict(document.FACTS)
        )
        for content in contents
    ]
    return repository.back_up(disks, Source("vm", "web", "web01"), mode=mode).point


@pytest.mark.parametrize("whole", [WHOLE, document.VmDocument({})])
def test_it_comes_out_as_it_went_in(repository, whole):
    data = document.write_document(whole)
    assert len(data) % 512 == 0
    assert document.read_document(repository, back_up(repository, data)) == whole


def test_the_same_machine_has_the_same_bytes():
    again = document.VmDocument(dict(WHOLE.configuration), b"\x00\xff", 'a = "b"\n', ("its tags",))
    assert document.write_document(again) == document.write_document(WHOLE)


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"\xff" * 512,
        json.dumps({"format": "vdisk-vm", "version": 2}).encode(),
        document.write_document(WHOLE).replace(b"AP8=", b"!!!!"),
        document.write_document(WHOLE).replace(b'"left_out"', b'"left_it"'),
    ],
)
def test_what_cannot_be_understood_is_called_damaged(repository, data):
    with pytest.raises(RepositoryDamaged, match="cannot be understood"):
        document.read_document(repository, back_up(repository, data))


def test_a_point_of_a_plain_disk_holds_none(repository):
    with pytest.raises(RestorePointNotFound, match="holds the configuration of no"):
        document.read_document(repository, back_up(repository))


def test_it_is_no_disk_of_the_machine(repository):
    point = back_up(repository, document.write_document(WHOLE))
    shown = point.as_dict()
    assert [disk["name"] for disk in shown["disks"]] == ["scsi0:0"]
    assert shown["configuration"] is True
    assert shown["size"] == point.size == 512
    assert only_disk(point) == "scsi0:0"


def test_a_larger_one_does_not_forbid_an_incremental_backup(repository):
    back_up(repository, document.write_document(WHOLE))
    larger = document.VmDocument({"annotation": "x" * 4096})
    point = back_up(repository, document.write_document(larger), mode="incremental")
    assert document.read_document(repository, point) == larger
