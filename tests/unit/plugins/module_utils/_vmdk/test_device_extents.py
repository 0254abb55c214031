# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are put together: offsets, devices, gaps, mappings, keys, and their descriptors."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    NotADisk,
    ReadOnlyDisk,
    TruncatedDisk,
    UnsafePath,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.info import describe

SECTOR = 512


def put(folder, lines, create_type="custom", more="", first="# Disk DescriptorFile"):
    text = f'{first}\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="{create_type}"\n'
    (folder / "d.vmdk").write_text(text + more + "\n".join(lines) + "\n\n#DDB\n")
    return folder / "d.vmdk"


def numbered(sectors, first=0):
    """Sectors that each say which one they are."""
    return b"".join(n.to_bytes(4, "little") * 128 for n in range(first, first + sectors))


# Offsets and mixtures


def test_fault_02_all_kinds_of_lines_keep_their_place(tmp_path, content_of):
    """qemu leaves out ZERO, RDONLY and NOACCESS and moves what follows; so no peer can judge."""
    (tmp_path / "a").write_bytes(numbered(100))
    (tmp_path / "b").write_bytes(numbered(16, first=1000))
    path = put(
        tmp_path,
        [
            'RW 8 FLAT "a" 90',
            "RW 5 ZERO",
            'RDONLY 16 FLAT "b" 0',
            "NOACCESS 0 ZERO ",
            'RW 3 FLAT "a" 7',
            "RDONLY 2 ZERO",
        ],
    )
    whole = numbered(8, 90) + bytes(5 * SECTOR) + numbered(16, 1000) + numbered(3, 7)
    assert content_of(path) == whole + bytes(2 * SECTOR)


def test_offsets_are_sectors_not_bytes_as_qemu_has_it(tmp_path, content_of, qemu_img):
    (tmp_path / "a").write_bytes(numbered(100))
    path = put(
        tmp_path, ['RW 8 FLAT "a" 90', 'RW 3 FLAT "a" 7', 'RW 1 FLAT "a" 0'], "monolithicFlat"
    )
    whole = numbered(8, 90) + numbered(3, 7) + numbered(1)
    assert content_of(path) == whole
    path.write_text(path.read_text().replace("monolithicFlat", "twoGbMaxExtentFlat"))
    qemu_img("convert", "-O", "raw", path, tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == whole


def test_writes_go_to_the_right_part_of_one_file(tmp_path, content_of):
    (tmp_path / "a").write_bytes(numbered(100))
    path = put(tmp_path, ['RW 8 FLAT "a" 90', 'RW 3 FLAT "a" 7'])
    with open_disk(path, writable=True) as disk:
        disk.write(7 * SECTOR + 256, b"W" * 512)
    file = bytearray(numbered(100))
    file[97 * SECTOR + 256 : 98 * SECTOR] = b"W" * 256
    file[7 * SECTOR : 7 * SECTOR + 256] = b"W" * 256
    assert (tmp_path / "a").read_bytes() == file


def test_read_only_extent_of_a_writable_disk(tmp_path):
    (tmp_path / "a").write_bytes(numbered(8))
    (tmp_path / "b").write_bytes(numbered(8))
    path = put(tmp_path, ['RW 8 FLAT "a" 0', 'RDONLY 8 FLAT "b" 0'])
    with open_disk(path, writable=True) as disk:
        disk.write(0, b"W")
        with pytest.raises(ReadOnlyDisk):
            disk.write(8 * SECTOR, b"W")
    assert (tmp_path / "b").read_bytes() == numbered(8)


def test_extent_behind_the_end_of_its_file(tmp_path):
    (tmp_path / "a").write_bytes(numbered(10))
    with pytest.raises(TruncatedDisk):
        open_disk(put(tmp_path, ['RW 8 FLAT "a" 3']))


def test_sparse_and_flat_extents_in_one_disk(tmp_path, content_of, qemu_img):
    (tmp_path / "raw").write_bytes(numbered(4096, 500))
    qemu_img("convert", "-O", "vmdk", tmp_path / "raw", tmp_path / "s.vmdk")
    (tmp_path / "a").write_bytes(numbered(8))
    path = put(tmp_path, ['RW 8 FLAT "a" 0', 'RW 4096 SPARSE "s.vmdk"'])
    assert content_of(path) == numbered(8) + numbered(4096, 500)


@pytest.mark.parametrize(
    "name", ["vmfsThin", "vmfsPreallocated", "vmfsEagerZeroedThick", "vmfsThick"]
)
def test_flat_disks_of_esxi(tmp_path, content_of, name):
    (tmp_path / "d-flat.vmdk").write_bytes(numbered(64))
    path = put(tmp_path, ['RW 64 VMFS "d-flat.vmdk"'], name.upper())
    assert content_of(path) == numbered(64)
    with open_disk(path, writable=True) as disk:
        disk.write(5, b"W")
        assert describe(disk)["disk_type"] == name
    assert content_of(path)[5:6] == b"W"


def test_partitioned_device_with_its_copy_of_the_partition_table(tmp_path, content_of):
    (tmp_path / "d-pt.vmdk").write_bytes(numbered(63))
    (tmp_path / "disk.img").write_bytes(numbered(300))
    path = put(
        tmp_path,
        ['RW 63 FLAT "d-pt.vmdk" 0', 'RDONLY 100 FLAT "disk.img" 63 Partition1', "RW 137 ZERO"],
        "partitionedDevice",
    )
    assert content_of(path) == numbered(63) + numbered(100, 63) + bytes(137 * SECTOR)


# Block devices


@pytest.fixture
def loop_device(tmp_path):
    (tmp_path / "backing").write_bytes(numbered(2048))
    try:
        done = subprocess.run(
            ["losetup", "--find", "--show", str(tmp_path / "backing")],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop devices: {error}")
    device = done.stdout.strip()
    yield device
    subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.serial
@pytest.mark.parametrize("allowed", ["the device", "its folder"])
def test_device_that_is_allowed(tmp_path, content_of, loop_device, allowed):
    path = put(tmp_path, [f'RW 8 FLAT "{loop_device}" 100', "RW 1 ZERO"], "fullDevice")
    outside = [loop_device if allowed == "the device" else os.path.dirname(loop_device)]
    assert content_of(path, allow_outside=outside) == numbered(8, 100) + bytes(SECTOR)
    with pytest.raises(UnsafePath):
        open_disk(path)
    with pytest.raises(UnsafePath):
        open_disk(path, allow_outside=[str(tmp_path)])


@pytest.mark.serial
def test_fault_11_device_node_beside_the_descriptor_is_no_way_around(tmp_path, loop_device):
    """An archive that is unpacked by root may bring one along."""
    try:
        os.mknod(tmp_path / "node", 0o60600, os.stat(loop_device).st_rdev)
    except OSError as error:
        pytest.skip(f"no device nodes: {error}")
    path = put(tmp_path, ['RW 8 FLAT "node" 0'], "fullDevice")
    with pytest.raises(UnsafePath, match="block device"):
        open_disk(path)
    open_disk(path, allow_outside=[str(tmp_path / "node")]).close()


def test_device_is_refused_by_default(tmp_path):
    path = put(tmp_path, ['RW 8 FLAT "/dev/sda" 0'], "fullDevice")
    with pytest.raises(UnsafePath):
        open_disk(path)


# What cannot be read


@pytest.mark.parametrize(
    "create_type, shown",
    [
        ("vmfsRDM", "vmfsRDM"),
        ("vmfsRawDeviceMap", "vmfsRDM"),
        ("vmfsRDMP", "vmfsRDMP"),
        ("vmfsPassthroughRawDeviceMap", "vmfsRDMP"),
    ],
)
def test_raw_device_mapping_is_described_and_not_read(tmp_path, create_type, shown):
    path = put(tmp_path, ['RW 2048 VMFSRDM "d-rdm.vmdk"', 'ddb.uuid = "60 00"'], create_type)
    with open_disk(path) as disk:
        facts = describe(disk)
        assert (facts["disk_type"], facts["size"]) == (shown, 1 << 20)
        assert facts["metadata"] == {"uuid": "60 00"}
        assert facts["extents"][0]["kind"] == "VMFSRDM"
        assert any("content is not in these files" in flag for flag in facts["flags"])
        with pytest.raises(UnsupportedDisk, match="content is not in these files"):
            read(disk, 0, 512)
        with pytest.raises(UnsupportedDisk):
            copy(disk, MemoryDevice(disk.size))


def test_raw_device_of_a_host(tmp_path):
    path = put(tmp_path, ['RW 8 VMFSRAW "vmhba1:0:0:0"'], "vmfsRaw")
    with open_disk(path) as disk, pytest.raises(UnsupportedDisk):
        read(disk, 0, 512)


def test_no_access_extent_is_refused_when_it_is_touched(tmp_path):
    (tmp_path / "a").write_bytes(numbered(8))
    path = put(tmp_path, ['RW 8 FLAT "a" 0', 'NOACCESS 8 FLAT "not there" 0', 'RW 2 FLAT "a" 4'])
    with open_disk(path) as disk:
        assert read(disk, 0, 8 * SECTOR) == numbered(8)
        assert read(disk, 16 * SECTOR, 2 * SECTOR) == numbered(2, 4)
        with pytest.raises(UnsupportedDisk, match="must not be accessed"):
            read(disk, 7 * SECTOR, 2 * SECTOR)
        with pytest.raises(UnsupportedDisk, match="must not be accessed"):
            copy(disk, MemoryDevice(disk.size))


@pytest.mark.parametrize(
    "text",
    [
        'version=2\nCID=1\nparentCID=ffffffff\ncreateType="vmfs"\nRW 8 VMFS "a"\n',
        (
            'version=1\nCID=1\nparentCID=ffffffff\nencryptionKeys="vmware:key/list/(pair/(x))"\n'
            'createType="vmfs"\nRW 8 VMFS "a"\n'
        ),
        (
            'version=1\nCID=1\nparentCID=ffffffff\ncreateType="vmfs"\nRW 8 VMFS "a"\n'
            'ddb.encryption = "vmware:key/fqid/<VMWARE-NULL>/Key-Provider/0123"\n'
        ),
        'encryption.keySafe = "vmware:key/list/(pair/(phrase/x))"\nencryption.data = "AbCd"\n',
        '.encoding = "UTF-8"\nencryption.data = "AbCd"\n',
    ],
    ids=["version 2", "keys", "key server", "key safe", "data alone"],
)
def test_encrypted_disk_is_explained(tmp_path, text):
    (tmp_path / "a").write_bytes(numbered(8))
    (tmp_path / "d.vmdk").write_text("# Disk DescriptorFile\n" + text)
    with pytest.raises(UnsupportedDisk, match="is encrypted") as caught:
        open_disk(tmp_path / "d.vmdk")
    assert "remove the encryption" in caught.value.hint


def test_encrypted_descriptor_in_a_sparse_file(make_disk):
    path = make_disk("d.vmdk", "monolithicSparse", 1 << 20)
    with path.open("r+b") as stream:
        stream.seek(SECTOR)
        stream.write(b'encryption.keySafe = "vmware:key/list/(pair/(x))"'.ljust(20 * SECTOR, b"\0"))
    with pytest.raises(UnsupportedDisk, match="is encrypted"):
        open_disk(path)


def test_redo_log_over_a_raw_device_mapping_shows_its_own_part(tmp_path, qemu_img):
    put(tmp_path, ['RW 2048 VMFSRDM "x-rdm.vmdk"'], "vmfsRDM").rename(tmp_path / "base.vmdk")
    qemu_img("create", "-f", "vmdk", tmp_path / "s.vmdk", "1M")
    path = put(tmp_path, ['RW 2048 SPARSE "s.vmdk"'], more='parentFileNameHint="base.vmdk"\n')
    path.write_text(path.read_text().replace("ffffffff", "12345678", 1))
    with open_disk(path) as disk:
        assert disk.size == 1 << 20
        with pytest.raises(UnsupportedDisk, match="content is not in these files"):
            read(disk, 0, 512)


def test_unknown_version_is_refused(tmp_path):
    path = put(tmp_path, ["RW 8 ZERO"])
    path.write_text(path.read_text().replace("version=1", "version=9"))
    with pytest.raises(UnsupportedDisk, match="unknown version"):
        open_disk(path)


def test_version_3_without_tracking_is_a_plain_disk(tmp_path, content_of):
    path = put(tmp_path, ["RW 8 ZERO"])
    path.write_text(path.read_text().replace("version=1", "version=3"))
    assert content_of(path) == bytes(8 * SECTOR)


# Descriptors


@pytest.mark.parametrize(
    "first",
    [
        "# Disk DescriptorFile",
        "# Disk Descriptor File",
        "#Disk DescriptorFile",
        "#Disk Descriptor File",
        "# made by some exporter",
        "",
        "\ufeff# Disk DescriptorFile",
    ],
)
def test_first_line_means_nothing(tmp_path, content_of, first):
    assert content_of(put(tmp_path, ["RW 8 ZERO"], first=first)) == bytes(8 * SECTOR)


ENCODINGS = [
    ("UTF-8", "utf-8", "Größe 磁盘"),
    ("windows-1252", "cp1252", "Größe – é"),
    ("windows-1251", "cp1251", "диск"),
    ("ISO-8859-15", "iso8859-15", "Größe €"),
    ("GBK", "gbk", "磁盘"),
    ("GB18030", "gb18030", "磁盘𠮷"),
    ("Big5", "cp950", "磁碟許功蓋"),  # their second bytes are ASCII: \ and the like
    ("Shift_JIS", "cp932", "表ソ能ディスク①"),
    ("windows-31j", "cp932", "髙ディスク"),
    ("EUC-KR", "cp949", "디스크"),
]


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("word, codec, name", ENCODINGS, ids=[e[0] for e in ENCODINGS])
def test_fault_16_encodings_are_read_and_kept(tmp_path, content_of, word, codec, name, ending):
    (tmp_path / f"{name}-flat.vmdk").write_bytes(numbered(8))
    text = (
        f'# Disk DescriptorFile\nversion=1\nencoding="{word}"\nCID=12345678\nparentCID=ffffffff\n'
        f'createType="vmfs"\nRW 8 VMFS "{name}-flat.vmdk"\n'
        f'ddb.comment = "{name}"\nddb.strange.key = "{name}"\nddb.adapterType = "ide"\n'
    )
    data = text.replace("\n", ending).encode(codec)
    (tmp_path / "d.vmdk").write_bytes(data)
    assert content_of(tmp_path / "d.vmdk") == numbered(8)
    set_metadata(tmp_path / "d.vmdk", {"adapterType": "lsilogic"})
    assert (tmp_path / "d.vmdk").read_bytes() == data.replace(b'"ide"', b'"lsilogic"')
    with open_disk(tmp_path / "d.vmdk") as disk:
        assert describe(disk)["metadata"]["comment"] == name


def test_bytes_that_the_encoding_does_not_know_are_kept(tmp_path):
    path = put(tmp_path, ["RW 8 ZERO", 'ddb.comment = "@"', 'ddb.uuid = "old"'])
    data = path.read_bytes().replace(b"@", b"\xff\xfe\x81")
    path.write_bytes(data)
    set_metadata(path, {"uuid": "new"})
    assert path.read_bytes() == data.replace(b"old", b"new")


def test_fault_13_descriptor_of_thousands_of_lines(tmp_path, content_of):
    (tmp_path / "a").write_bytes(numbered(4000))
    order = [n * 1237 % 4000 for n in range(4000)]
    path = put(tmp_path, [f'RW 1 FLAT "a" {n}' for n in order], "twoGbMaxExtentFlat")
    assert content_of(path) == b"".join(numbered(1, n) for n in order)
    before = path.read_bytes()
    set_metadata(path, {"toolsVersion": "2147483647"})
    assert path.read_bytes() == before + b'ddb.toolsVersion = "2147483647"\n'


def test_fault_20_missing_extent_of_a_parent_is_found_at_once(tmp_path, make_disk):
    (tmp_path / "a").write_bytes(numbered(8))
    put(tmp_path, ['RW 8 FLAT "a" 0'], "monolithicFlat").rename(tmp_path / "base.vmdk")
    text = (
        "# Disk DescriptorFile\nversion=1\nCID=00000001\nparentCID=12345678\n"
        'parentFileNameHint="base.vmdk"\ncreateType="custom"\nRW 8 ZERO\n'
    )
    (tmp_path / "child.vmdk").write_text(text)
    open_disk(tmp_path / "child.vmdk").close()
    (tmp_path / "a").unlink()
    with pytest.raises(DiskError) as caught:
        open_disk(tmp_path / "child.vmdk")
    assert caught.value.path == str(tmp_path / "a")


def test_fault_09_keys_that_are_missing_or_in_lower_case(tmp_path, content_of):
    (tmp_path / "d.vmdk").write_text("version=1\ncid=1\ncreatetype=custom\nrw 3 zero\n")
    assert content_of(tmp_path / "d.vmdk") == bytes(3 * SECTOR)


def test_fault_17_compressed_disk_is_named(tmp_path):
    (tmp_path / "d.vmdk").write_bytes(b"\x1f\x8b\x08" + bytes(600))
    with pytest.raises(NotADisk, match="a gzip file"):
        open_disk(tmp_path / "d.vmdk")
