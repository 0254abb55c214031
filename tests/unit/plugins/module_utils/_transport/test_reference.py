# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One string names a disk wherever it lives."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import BadReference
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.reference import (
    Reference,
    Road,
    parse,
)


@pytest.mark.parametrize(
    ("text", "road"),
    [
        ("/srv/vm/web01.vmdk", Road.VMDK),
        ("web01.VMDK", Road.VMDK),
        ("/srv/vm/web01.img", Road.RAW),
        ("/dev/sdb", Road.RAW),
        ("[datastore1] web01/web01.vmdk", Road.DATASTORE),
        ("nbd://host:10809/export", Road.NBD),
        ("nbds://host/export", Road.NBD),
        ("nbd+unix:///export?socket=/run/x.sock", Road.NBD),
        ("/srv/backup@home/web01.vmdk", Road.VMDK),
    ],
)
def test_roads(text, road):
    assert parse(text) == Reference(road, text)


@pytest.mark.parametrize(
    "text", ["web01@latest", "web01@2026-11-22T02:00:00Z#scsi0:0", "web01@before upgrade", "a@b@c"]
)
def test_restore_points_need_a_repository(text):
    assert parse(text, has_repository=True) == Reference(Road.RESTORE_POINT, text)
    with pytest.raises(BadReference, match="option repository"):
        parse(text)


def test_a_file_whose_name_has_an_at_sign_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "web01@home.vmdk").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert parse("web01@home.vmdk", has_repository=True).road is Road.VMDK


def test_home_and_variables_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/operator")
    monkeypatch.setenv("VM", "web01")
    assert parse("~/$VM.vmdk").text == "/home/operator/web01.vmdk"


@pytest.mark.parametrize("text", ["", "  ", "http://host/disk.vmdk", "s3://bucket/x", "a\0b"])
def test_what_fits_nothing_lists_every_form(text):
    with pytest.raises(BadReference) as raised:
        parse(text)
    for form in ("/srv/vm/web01.vmdk", "/dev/sdb", "[datastore1]", "nbd+unix", "web01@latest"):
        assert form in str(raised.value)
