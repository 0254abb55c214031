# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The descriptor: bytes in, the same bytes out, but for what was changed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.descriptor import (
    Descriptor,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.extent_line import (
    ExtentLine,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.new import (
    new_descriptor,
)

TEXT = b"""\
# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=0172e8a4
parentCID=ffffffff
createType="vmfs"
unknownKey = kept # as it is

# Extent description
RW 4096 VMFS "vmfs_thick-flat.vmdk"

# The Disk Data Base\x20
#DDB

ddb.adapterType = "lsilogic"
ddb.uuid = "60 00 C2 98 5d 08 de f2-a0 14 2e 05 94 9d d8 38"
"""


@given(st.binary(max_size=300).map(lambda data: data.replace(b"\0", b"")))
def test_any_bytes_come_out_as_they_went_in(junk):
    assert Descriptor(b"CID=1\n#" + junk).to_bytes() == b"CID=1\n#" + junk


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_changing_one_key_changes_one_line(ending):
    before = TEXT.replace(b"\n", ending)
    descriptor = Descriptor(before)
    descriptor.set("CID", "deadbeef")
    assert descriptor.to_bytes() == before.replace(b"0172e8a4", b"deadbeef")


def test_padding_is_cut_at_the_first_zero_byte():
    assert Descriptor(TEXT + bytes(99) + b"junk").to_bytes() == TEXT


def test_style_of_the_line_is_kept():
    descriptor = Descriptor(b'  cid =  12  \r\ncreateType  ="vmfs"\r\n')
    descriptor.set("CID", "34")
    descriptor.set("createType", "custom")
    assert descriptor.to_bytes() == b'  cid =  34  \r\ncreateType  ="custom"\r\n'


@pytest.mark.parametrize(
    "line, value",
    [
        (b'key="a=b"', "a=b"),
        (b"key=bare words", "bare words"),
        (b'KEY = "with "inner" quotes"', 'with "inner" quotes'),
        (b'key=""', ""),
    ],
)
def test_get(line, value):
    assert Descriptor(line).get("Key") == value


def test_get_of_a_missing_key():
    assert Descriptor(TEXT).get("parentFileNameHint") is None


def test_comment_is_no_key():
    assert Descriptor(b"# CID=1\nCID=2\n").get("CID") == "2"


def test_new_header_key_stands_before_the_extents():
    descriptor = Descriptor(TEXT)
    descriptor.set("parentFileNameHint", "base.vmdk")
    assert descriptor.to_bytes() == TEXT.replace(
        b"as it is\n", b'as it is\nparentFileNameHint="base.vmdk"\n'
    )


def test_new_ddb_key_stands_last():
    descriptor = Descriptor(TEXT)
    descriptor.set("ddb.deletable", "true")
    assert descriptor.to_bytes() == TEXT + b'ddb.deletable = "true"\n'


def test_line_after_one_without_an_ending():
    descriptor = Descriptor(TEXT.rstrip(b"\n"))
    descriptor.set("ddb.deletable", "true")
    assert descriptor.to_bytes() == TEXT + b'ddb.deletable = "true"\n'


def test_delete():
    descriptor = Descriptor(TEXT)
    assert descriptor.delete("DDB.adapterType")
    assert descriptor.to_bytes() == TEXT.replace(b'ddb.adapterType = "lsilogic"\n', b"")


def test_delete_of_a_missing_key():
    assert not Descriptor(TEXT).delete("changeTrackPath")


def test_metadata_is_in_order():
    assert list(Descriptor(TEXT).metadata().items()) == [
        ("adapterType", "lsilogic"),
        ("uuid", "60 00 C2 98 5d 08 de f2-a0 14 2e 05 94 9d d8 38"),
    ]


def test_value_of_two_lines_is_refused():
    with pytest.raises(InvalidRequest, match="one line"):
        Descriptor(TEXT).set("ddb.comment", "a\nCID=0")


def test_extents():
    assert Descriptor(TEXT).extents == [ExtentLine("RW", 4096, "VMFS", "vmfs_thick-flat.vmdk")]


@pytest.mark.parametrize(
    "text, extent",
    [
        ('RW 63 FLAT "x.vmdk" 0', ExtentLine("RW", 63, "FLAT", "x.vmdk", 0)),
        ("rdonly 5 zero", ExtentLine("RDONLY", 5, "ZERO")),
        ("NOACCESS 0 ZERO ", ExtentLine("NOACCESS", 0, "ZERO")),
        ('RW 5 SPARSE "a "b" c.vmdk"', ExtentLine("RW", 5, "SPARSE", 'a "b" c.vmdk')),
        (
            'RW 5 FLAT "/dev/sda" 7 "uuid" "device"',
            ExtentLine("RW", 5, "FLAT", "/dev/sda", 7, '"uuid" "device"'),
        ),
    ],
)
def test_extent_line(text, extent):
    assert ExtentLine.parse(text) == extent
    assert ExtentLine.parse(str(extent)) == extent


@pytest.mark.parametrize("line", [b"RW x SPARSE", b'RW 5 FLAT "x', b"RW 5"])
def test_damaged_extent_is_told_with_its_line(line):
    with pytest.raises(CorruptDisk, match="line 2 of"):
        Descriptor(b"CID=1\n" + line + b"\n")


def test_replace_extent_keeps_the_rest():
    descriptor = Descriptor(TEXT)
    descriptor.replace_extent(0, ExtentLine("RW", 8192, "VMFS", "x.vmdk"))
    assert descriptor.to_bytes() == TEXT.replace(
        b'RW 4096 VMFS "vmfs_thick-flat.vmdk"', b'RW 8192 VMFS "x.vmdk"'
    )
    assert descriptor.sectors == 8192


def test_append_extent_stands_behind_the_last():
    descriptor = Descriptor(TEXT)
    descriptor.append_extent(ExtentLine("RW", 8, "ZERO"))
    assert descriptor.to_bytes() == TEXT.replace(b'flat.vmdk"\n', b'flat.vmdk"\nRW 8 ZERO\n')
    assert [extent.kind for extent in descriptor.extents] == ["VMFS", "ZERO"]


@pytest.mark.parametrize(
    "encoding, codec, name",
    [
        ("UTF-8", "utf-8", "Фильм-磁碟"),
        ("windows-1252", "cp1252", "Fußgänger–"),
        ("GBK", "gbk", "磁盘"),
        ("Big5", "cp950", "磁碟"),
        ("Shift_JIS", "cp932", "ソース表"),  # bytes that look like a backslash
        ("windows-936", "gbk", "磁盘"),
        ("MS932", "cp932", "ディスク"),
    ],
)
def test_encoding(encoding, codec, name):
    text = f'encoding="{encoding}"\nCID=1\nRW 8 FLAT "{name}.vmdk" 0\n'
    descriptor = Descriptor(text.encode(codec))
    assert descriptor.extents[0].name == f"{name}.vmdk"
    descriptor.set("ddb.comment", name)
    assert descriptor.to_bytes() == f'{text}ddb.comment = "{name}"\n'.encode(codec)


def test_encoding_in_the_data_base():
    data = 'CID=1\nparentFileNameHint="ö"\nddb.encoding = "windows-1252"\n'.encode("cp1252")
    assert Descriptor(data).parent_hint == "ö"


@pytest.mark.parametrize("encoding", [b"UTF-16", b"no-such", b"rot13", b"base64"])
def test_encoding_that_cannot_be_is_read_as_utf8(encoding):
    assert Descriptor(b'encoding="' + encoding + b'"\nCID=1\n').codec == "utf-8"


def test_character_that_the_encoding_lacks_is_refused_and_nothing_changed():
    descriptor = Descriptor(b'encoding="windows-1252"\nCID=1\n')
    with pytest.raises(InvalidRequest, match="cp1252"):
        descriptor.set("ddb.comment", "磁盘")
    assert descriptor.to_bytes() == b'encoding="windows-1252"\nCID=1\n'
    assert descriptor.get("ddb.comment") is None


def test_cid_without_padding():
    assert Descriptor(b"CID=ab1\n").cid == 0xAB1


@pytest.mark.parametrize("text", [b"parentCID=ffffffff", b"parentCID=FFFFFFFF", b""])
def test_no_parent(text):
    assert Descriptor(text).parent_cid is None


def _new(**changes):
    facts = {"adapter_type": "lsilogic", "hw_version": 10, "metadata": {}} | changes
    return new_descriptor(
        "monolithicSparse", [ExtentLine("RW", 20480, "SPARSE", "x.vmdk")], **facts
    )


def test_new_descriptor_has_its_content_id_in_both_places():
    descriptor = _new()
    assert re.fullmatch("[0-9a-f]{32}", descriptor.get("ddb.longContentID"))
    assert int(descriptor.get("ddb.longContentID")[-8:], 16) == descriptor.cid


def test_new_descriptor_has_a_uuid_as_vmware_writes_it():
    assert re.fullmatch(
        "60 00 C2 9[0-9a-f]( [0-9a-f]{2}){4}-[0-9a-f]{2}( [0-9a-f]{2}){7}", _new().get("ddb.uuid")
    )


def test_new_descriptor_of_a_child_names_its_parent():
    descriptor = _new(parent=(0x12AB, "base.vmdk"))
    assert (descriptor.parent_cid, descriptor.parent_hint) == (0x12AB, "base.vmdk")


def test_new_descriptor_takes_metadata():
    descriptor = _new(metadata={"comment": "made here", "uuid": "mine"})
    assert descriptor.metadata()["comment"] == "made here"
    assert descriptor.metadata()["uuid"] == "mine"
