# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_data: bytes and metadata, read and written."""

from __future__ import annotations

import base64
import subprocess

import pytest

TYPES = ["monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat", "twoGbMaxExtentFlat", "vmfs"]


@pytest.fixture
def raw(tmp_path):
    """The content of a disk by qemu-img."""

    def read(path):
        out = tmp_path / "by-qemu.raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", str(path), str(out)], check=True)
        content = out.read_bytes()
        out.unlink()
        return content

    return read


@pytest.mark.parametrize("disk_type", TYPES)
def test_written_bytes_are_there_once(modules, make_disk, raw, disk_type):
    path = make_disk("web01.vmdk", disk_type)
    expected = bytearray(raw(path))
    place = (3 << 20) + 77
    expected[place : place + 7] = b"golden\xc3"
    wanted = {
        "path": path,
        "offset": place,
        "content_base64": base64.b64encode(b"golden\xc3").decode(),
    }
    first = modules.vmdk_data(**wanted)
    assert first["changed"]
    assert first["bytes_written"] == 7
    assert raw(path) == expected
    assert not modules.vmdk_data(**wanted)["changed"]


def test_read_is_what_is_there(modules, disk, raw):
    told = modules.vmdk_data(path=disk, offset="1MiB", length=1000)
    assert not told["changed"]
    assert base64.b64decode(told["content_base64"]) == raw(disk)[1 << 20 : (1 << 20) + 1000]
    modules.vmdk_data(path=disk, offset=10, content="Grüße")
    assert modules.vmdk_data(path=disk, offset=10, length=7)["content"] == "Grüße"


def test_file_to_disk_writes_only_what_differs(modules, disk, tmp_path, raw):
    content = bytearray(raw(disk))
    content[5 << 20] ^= 0xFF
    (tmp_path / "new.raw").write_bytes(content)
    done = modules.vmdk_data(path=disk, src=tmp_path / "new.raw")
    assert done["bytes_written"] == 65536
    assert raw(disk) == content


def test_disk_to_file(modules, disk, tmp_path, raw):
    wanted = {"path": disk, "offset": 4097, "length": "3MiB", "dest": tmp_path / "part"}
    assert modules.vmdk_data(**wanted)["changed"]
    assert (tmp_path / "part").read_bytes() == raw(disk)[4097 : 4097 + (3 << 20)]
    assert not modules.vmdk_data(**wanted)["changed"]
    (tmp_path / "part").write_bytes(b"old")
    assert modules.vmdk_data(**wanted)["changed"]
    modules.vmdk_data(path=disk, dest=tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == raw(disk)


def test_too_much_for_a_result_names_the_way_out(modules, disk):
    assert "dest" in modules.fail("vmdk_data", path=disk, length="2MiB")["msg"]


def test_beyond_the_end(modules, disk, digest_of_file):
    before = digest_of_file(disk)
    for more in ({"content": "xy"}, {"length": 2}):
        failed = modules.fail("vmdk_data", path=disk, offset=(40 << 20) - 1, **more)
        assert failed["error"]["kind"] == "OutOfRange"
    assert digest_of_file(disk) == before


def test_metadata_is_set_and_removed_once_and_the_content_stays(modules, disk, content_by_qemu):
    before, cid = content_by_qemu(disk), modules.vmdk_info(path=disk)["disk"]["cid"]
    wanted = {
        "path": disk,
        "metadata": {"comment": "x" * 20_000, "ddb.deletable": "true"},  # outgrows its place
        "remove_metadata": ["toolsVersion", "never.there"],
        "uuid": "6000C29a-4c1d-52f0-8f3b-0d6f0f3a9b71",
        "adapter_type": "ide",
    }
    first = modules.vmdk_data(**wanted)
    metadata = first["disk"]["metadata"]
    assert first["changed"]
    assert metadata["comment"] == "x" * 20_000
    assert metadata["deletable"] == "true"
    assert metadata["uuid"] == "60 00 C2 9a 4c 1d 52 f0-8f 3b 0d 6f 0f 3a 9b 71"
    assert metadata["adapterType"] == "ide"
    assert "toolsVersion" not in metadata
    assert not modules.vmdk_data(**wanted)["changed"]
    assert content_by_qemu(disk) == before
    assert modules.vmdk_info(path=disk)["disk"]["cid"] == cid


@pytest.mark.parametrize(
    "wrong",
    [
        {"uuid": "60 00"},
        {"metadata": {"two words": "x"}},
        {"metadata": {"comment": "two\nlines"}},
        {"metadata": {"a": "b"}, "remove_metadata": ["A"]},
        {"content_base64": "%%%"},
        {"content": "a", "length": 5},
    ],
    ids=["uuid", "key", "lines", "both", "base64", "length"],
)
def test_what_cannot_be_changes_nothing(modules, disk, digest_of_file, wrong):
    before = digest_of_file(disk)
    modules.fail("vmdk_data", path=disk, **wrong)
    assert digest_of_file(disk) == before


def test_fault_19_zeros_in_a_child_hide_the_parent(modules, disk, tmp_path, raw):
    modules.vmdk_data(path=disk, offset="1MiB", content="parent")
    modules.vmdk_snapshot(path=disk)
    child = tmp_path / "web01-000001.vmdk"
    zeros = base64.b64encode(bytes(100_000)).decode()
    modules.vmdk_data(path=child, offset="1MiB", content_base64=zeros)
    assert not any(raw(child)[1 << 20 : (1 << 20) + 100_000])
    modules.vmdk_snapshot(path=disk, state="absent")
    assert not any(raw(disk)[1 << 20 : (1 << 20) + 100_000])


def test_parent_stream_and_restore_point_are_read_only(modules, make_disk, repository, tmp_path):
    disk, stream = make_disk(), make_disk("stream.vmdk", "streamOptimized")
    modules.vmdk_backup(path=disk, name="first", **repository)
    modules.vmdk_snapshot(path=disk)
    for path, kind in ((disk, "InvalidRequest"), (stream, "UnsupportedDisk")):
        for check_mode in (False, True):
            failed = modules.fail("vmdk_data", path=path, content="x", check_mode=check_mode)
            assert failed["error"]["kind"] == kind
    point = {"path": "web01@latest", **repository}
    read = modules.vmdk_data(**point, length=512)["content_base64"]
    assert read == modules.vmdk_data(path=disk, length=512)["content_base64"]
    assert modules.fail("vmdk_data", **point, content="x")["error"]["kind"] == "ReadOnlyDisk"


def test_raw_file(modules, tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    assert modules.vmdk_data(path=path, offset=5, content="raw")["changed"]
    assert path.read_bytes()[:9] == bytes(5) + b"raw\0"
    assert "data base" in modules.fail("vmdk_data", path=path, metadata={"a": "b"})["msg"]


def test_check_mode_predicts_and_touches_nothing(modules, disk, tmp_path, digest_of_tree):
    before = digest_of_tree(tmp_path)
    for wanted in (
        {"content": "new"},
        {"metadata": {"a": "b"}},
        {"dest": tmp_path / "out", "length": 512},
    ):
        assert modules.vmdk_data(path=disk, check_mode=True, **wanted)["changed"]
    assert digest_of_tree(tmp_path) == before


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("length", [None, 512])
@pytest.mark.parametrize("name", ["web01.vmdk", "web01-flat.vmdk", "another.vmdk", "link"])
def test_what_is_read_takes_no_disks_place(
    modules, make_disk, tmp_path, digest_of_tree, name, length, check_mode
):
    path = make_disk("web01.vmdk", "monolithicFlat")
    (tmp_path / "link").symlink_to("web01-flat.vmdk")
    before = digest_of_tree(tmp_path)
    options = {} if length is None else {"length": length}
    failed = modules.fail(
        "vmdk_data", path=path, dest=tmp_path / name, check_mode=check_mode, **options
    )
    assert failed["error"]["kind"] == "InvalidRequest"
    assert digest_of_tree(tmp_path) == before


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_folder_that_is_missing_is_told(modules, disk, tmp_path, check_mode):
    dest = tmp_path / "missing" / "x"
    failed = modules.fail("vmdk_data", path=disk, dest=dest, length=1, check_mode=check_mode)
    assert failed["error"]["path"] == str(tmp_path / "missing")
