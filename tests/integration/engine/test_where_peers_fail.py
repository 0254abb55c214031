# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Good disks that one of the peers is known to misread: the right bytes, and why.

No test asks the peer to stay wrong.
"""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import compare
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import CorruptDisk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk


@pytest.fixture
def sample(samples):
    return samples("odd-size")


@pytest.fixture
def our_stream(sample, tmp_path):
    path = tmp_path / "stream.vmdk"
    with (
        RawDevice.open(sample.path) as source,
        new_disk(path, DiskSpec(sample.size, "streamOptimized")) as target,
    ):
        copy(source, target, target_is_zero=True)
    return path


def assert_reads_as(path, sample):
    with open_disk(path) as disk, RawDevice.open(sample.path) as raw:
        assert disk.size == raw.size
        assert compare(disk, raw) is None


def test_descriptor_beside_a_stream_with_footer(our_stream, sample, tmp_path):
    """qemu looks for the footer at the size of the descriptor's file, and cannot open it."""
    text = tmp_path / "disk.vmdk"
    embedded = our_stream.read_bytes()[512 : 21 * 512].rstrip(b"\0")
    text.write_bytes(embedded)
    assert_reads_as(text, sample)


@pytest.mark.parametrize("subformat", ["monolithicSparse", "streamOptimized"])
def test_renamed_image_is_not_the_file_of_its_old_name(subformat, sample, run, tmp_path):
    """libvmdk follows the name in the embedded descriptor, to whatever is there now."""
    old, new = tmp_path / "old.vmdk", tmp_path / "new.vmdk"
    options = f"subformat={subformat}"
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", options, sample.path, old)
    old.rename(new)
    run("qemu-img", "create", "-f", "vmdk", "-o", options, old, str(sample.size))
    assert_reads_as(new, sample)


def test_padding_behind_a_stream(our_stream, sample):
    """Blocks of a tape or of a tar archive; qemu wants the footer at the very end."""
    with our_stream.open("ab") as file:
        file.write(bytes(10 * 1024))
    assert_reads_as(our_stream, sample)


def test_transfer_in_text_mode_is_told(sample, run, tmp_path):
    """qemu and libvmdk read on, with every byte behind the first line feed in a wrong place."""
    path = tmp_path / "disk.vmdk"
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", sample.path, path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(CorruptDisk, match="text mode"):
        open_disk(path)
