# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters: texts as people and VMware write them."""

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.filter.vmdk_descriptor import vmdk_descriptor
from ansible_collections.vdisk.lifecycle.plugins.filter.vmdk_size import vmdk_size

DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=1234abcd
createType="twoGbMaxExtentSparse"
parentFileNameHint="base.vmdk"
RW 4192256 SPARSE "web01-s001.vmdk"
RW 2048 FLAT "web01-f002.vmdk" 128
ddb.adapterType = "lsilogic"
"""


@pytest.mark.parametrize(
    ("size", "expected"),
    [("10GiB", 10 << 30), ("512M", 512 << 20), ("1.5 TiB", 3 << 39), ("7", 7), (7, 7)],
)
def test_size_is_bytes(size, expected):
    assert vmdk_size(size) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0"), (1, "1"), (1024, "1KiB"), (1610612736, "1536MiB"), ("2048MB", "2GiB")],
)
def test_size_is_text(size, expected):
    assert vmdk_size(size, text=True) == expected


@given(st.integers(0, 1 << 62))
def test_text_says_it_exactly(size):
    assert vmdk_size(vmdk_size(size, text=True)) == size


@pytest.mark.parametrize("bad", ["", "ten", "-1", -1, "1.5", 1.5, True, None, ["1"]])
def test_what_is_no_size_is_told(bad):
    with pytest.raises(AnsibleFilterError, match="vmdk_size"):
        vmdk_size(bad)


def test_descriptor_is_read():
    assert vmdk_descriptor(DESCRIPTOR) == {
        "disk_type": "twoGbMaxExtentSparse",
        "size": (4192256 + 2048) * 512,
        "cid": "fffffffe",
        "parent_cid": "1234abcd",
        "parent_hint": "base.vmdk",
        "extents": [
            {
                "kind": "SPARSE",
                "access": "RW",
                "sectors": 4192256,
                "path": "web01-s001.vmdk",
                "offset": None,
            },
            {
                "kind": "FLAT",
                "access": "RW",
                "sectors": 2048,
                "path": "web01-f002.vmdk",
                "offset": 128,
            },
        ],
        "metadata": {"adapterType": "lsilogic"},
    }


@pytest.mark.parametrize("bad", ["", "hello", None, 7, DESCRIPTOR.replace("SPARSE", '"')])
def test_what_is_no_descriptor_is_told(bad):
    with pytest.raises(AnsibleFilterError):
        vmdk_descriptor(bad)
