# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a first-class disk is named."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.fcd import (
    in_mib,
    is_first_class,
    parse_first_class,
)


@pytest.mark.parametrize(
    ("text", "datastore", "name"),
    [
        ("[datastore1] fcd:data", "datastore1", "data"),
        ("[datastore1]fcd:data", "datastore1", "data"),
        ("  [vsan (prod)]   fcd: web 01/data.vmdk  ", "vsan (prod)", "web 01/data.vmdk"),
        (
            "[a] fcd:2f8cd2a5-3c0b-4f0e-9a40-0b7cf2f6a0a1",
            "a",
            "2f8cd2a5-3c0b-4f0e-9a40-0b7cf2f6a0a1",
        ),
        ("[a] fcd:fcd:x", "a", "fcd:x"),
    ],
)
def test_a_first_class_disk(text, datastore, name):
    assert parse_first_class(text) == (datastore, name)
    assert is_first_class(text)


@pytest.mark.parametrize(
    "text",
    [
        "[datastore1] web01/web01.vmdk",
        "[datastore1] x/fcd:y.vmdk",
        "fcd:data",
        "/srv/fcd:x.vmdk",
        "",
    ],
)
def test_any_other_disk(text):
    assert parse_first_class(text) is None


@pytest.mark.parametrize("text", ["[datastore1] fcd:", "[datastore1] fcd:   "])
def test_one_without_a_name(text):
    with pytest.raises(InvalidRequest, match="fcd:NAME"):
        parse_first_class(text)


def test_sizes_are_whole_mebibytes():
    assert in_mib(3 << 20) == 3
    with pytest.raises(InvalidRequest, match="1 MiB"):
        in_mib((3 << 20) + 512)
