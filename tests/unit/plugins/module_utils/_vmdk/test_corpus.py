# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real disks from the field decode to what independent tools decoded."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import digest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import TruncatedDisk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.descriptor_file import (
    DescriptorFile,
)

IMAGES = [
    "vmdk-rs/monolithicSparse.vmdk",
    "vmdk-rs/streamOptimized.vmdk",
    "vmdk-rs/twoGbMaxExtentSparse.vmdk",
    "vmdk-rs/vmfs_thick.vmdk",
    "dfvfs/ext2.vmdk",
    "cot/blank.vmdk",
    "cot/input.vmdk",
]
TRUNCATED = "govmomi/ttylinux-pc_i486-16.1-disk1.vmdk"


@pytest.mark.parametrize("name", IMAGES)
def test_content(corpus, name):
    folder, manifest = corpus
    with open_disk(folder / name) as disk:
        assert disk.size == int(manifest[name]["virtual_size"])
        assert disk.flags == []
        assert digest(disk) == f"sha256:{manifest[name]['raw_sha256']}"


@pytest.mark.parametrize("name", IMAGES)
def test_descriptor_survives_unchanged(corpus, name):
    path = corpus[0] / name
    with DescriptorFile(str(path)) as store:
        assert store.descriptor.to_bytes() in path.read_bytes()
        assert len(store.descriptor.to_bytes()) > 200


def test_every_image_is_tested(corpus):
    assert sorted(corpus[1]) == sorted([*IMAGES, TRUNCATED])


def test_truncated_stream_is_refused(corpus):
    with pytest.raises(TruncatedDisk):
        open_disk(corpus[0] / TRUNCATED)
