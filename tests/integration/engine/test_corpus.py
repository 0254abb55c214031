# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that VMware's and other programs made: the manifest says what is in them."""

from __future__ import annotations

import csv
import hashlib

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import digest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import TruncatedDisk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

# image: peers that read it. The others refuse it: 7-Zip has no directory in the header of a
# VMware-made stream, libvmdk takes comment lines for section marks.
IMAGES = {
    "vmdk-rs/monolithicSparse.vmdk": {"qemu", "7zip", "libvmdk"},
    "vmdk-rs/streamOptimized.vmdk": {"qemu", "libvmdk"},
    "vmdk-rs/twoGbMaxExtentSparse.vmdk": {"qemu", "7zip", "libvmdk"},
    "vmdk-rs/vmfs_thick.vmdk": {"qemu", "7zip", "libvmdk"},
    "dfvfs/ext2.vmdk": {"qemu", "7zip", "libvmdk"},
    "cot/blank.vmdk": {"qemu", "7zip"},
    "cot/input.vmdk": {"qemu", "7zip"},
}


def read_by(peer):
    return [name for name, peers in IMAGES.items() if peer in peers]


@pytest.fixture
def manifest(corpus):
    """name -> (size, SHA-256 of the content)"""
    with (corpus / "manifest.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {
        row["file"]: (int(row["virtual_size"]), row["raw_sha256"])
        for row in rows
        if row["raw_sha256"] != "-"
    }


def test_no_image_is_forgotten(manifest):
    assert set(manifest) == set(IMAGES)


@pytest.mark.parametrize("name", IMAGES)
def test_we_read_what_the_manifest_says(name, corpus, manifest):
    with open_disk(corpus / name) as disk:
        assert (disk.size, digest(disk).removeprefix("sha256:")) == manifest[name]


@pytest.mark.parametrize("name", read_by("qemu"))
def test_qemu_agrees(name, corpus, manifest, to_raw, tmp_path):
    found = to_raw(corpus / name, tmp_path / "found.raw")
    with found.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == manifest[name][1]


@pytest.mark.parametrize("name", read_by("7zip"))
def test_7zip_agrees(name, corpus, manifest, seven_zip):
    sha256 = hashlib.sha256()
    for chunk in seven_zip(corpus / name):
        sha256.update(chunk)
    assert sha256.hexdigest() == manifest[name][1]


@pytest.mark.parametrize("name", read_by("libvmdk"))
def test_libvmdk_agrees(name, corpus, manifest, libvmdk):
    size, read = libvmdk(corpus / name)
    assert (size, hashlib.sha256(read(0, size)).hexdigest()) == manifest[name]


def test_stream_that_was_cut_is_refused(corpus):
    path = corpus / "govmomi" / "ttylinux-pc_i486-16.1-disk1.vmdk"
    with pytest.raises(TruncatedDisk, match="footer") as caught:
        open_disk(path)
    assert caught.value.offset == path.stat().st_size
