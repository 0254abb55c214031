# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which descriptors of a datastore mean one plain file."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.datastore import (
    plain_extent,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.descriptor import (
    Descriptor,
)


def descriptor(extent):
    text = f'# Disk DescriptorFile\nversion=1\nCID=fffffffe\ncreateType="vmfs"\n{extent}\n'
    return Descriptor(text.encode())


@pytest.mark.parametrize("kind", ["VMFS", "FLAT"])
@pytest.mark.parametrize("offset", ["", " 0"])
def test_a_flat_file(kind, offset):
    found = plain_extent("[ds] x.vmdk", descriptor(f'RW 8 {kind} "x-flat.vmdk"{offset}'))
    assert found == "x-flat.vmdk"


@pytest.mark.parametrize(
    ("extent", "why"),
    [
        ('RW 8 FLAT "x-flat.vmdk" 128', "does not begin where its file does.*sector 128"),
        ('RW 8 SPARSE "x.vmdk"', "not in one plain file"),
        ('RW 8 VMFS "a.vmdk"\nRW 8 VMFS "b.vmdk"', "not in one plain file"),
        ('RW 8 VMFS "vsan://523d-uuid"', "is no file"),
    ],
)
def test_anything_else_is_refused(extent, why):
    with pytest.raises(UnsupportedDisk, match=why):
        plain_extent("[ds] x.vmdk", descriptor(extent))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('encryptionKeys="vmware:key/list/(pair/(null/%3cVMWARE))"', "is encrypted"),
        ('ddb.iofilters = "vmwarevmcrypt"', "filters of vSphere.*vmwarevmcrypt"),
    ],
)
def test_what_is_in_the_file_in_another_form_is_refused(line, why):
    text = descriptor('RW 8 VMFS "x-flat.vmdk"').to_bytes().decode() + line + "\n"
    with pytest.raises(UnsupportedDisk, match=why):
        plain_extent("[ds] x.vmdk", Descriptor(text.encode()))


def test_a_descriptor_of_an_encrypted_disk():
    text = descriptor('RW 8 VMFS "x-flat.vmdk"').to_bytes().replace(b"version=1", b"version=2")
    with pytest.raises(UnsupportedDisk, match="is encrypted"):
        plain_extent("[ds] x.vmdk", Descriptor(text))
