# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is done to a disk, lines of its descriptor that we do not know stay as they are."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.defragment import (
    defragment,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import shrink
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.rename import rename_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.rebase import rebase_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.handmade import (
    DESCRIPTOR_SECTORS,
    SECTOR,
    Part,
    numbered,
    sparse,
)

# encoding= of the descriptor: (Python's name of it, a name that is no ASCII)
ENCODINGS = {
    "UTF-8": ("utf-8", "Größe-磁盘"),
    "windows-1252": ("cp1252", "Größe-é"),
    "GBK": ("gbk", "磁盘"),
    "Big5": ("cp950", "磁碟許功蓋"),
    "Shift_JIS": ("cp932", "表ソ能①"),
}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
SECTORS = 300
MAY_CHANGE = ("CID", "parentCID", "parentFileNameHint", "RW ", "ddb.longContentID", "ddb.geometry")
TEXT = """\
# made by a program that nobody knows
version=1
encoding="{word}"
CID=12345678
strange key = {name} = yes
parentCID={parent_cid}
{hint}isNativeSnapshot="no"
createType="{kind}"

RW {sectors} SPARSE "{extent}"
# a remark in the middle: {name}

ddb.zebra = "{name}"
ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "1"
ddb.longContentID = "00000000000000000000000012345678"
ddb.Apple="unquoted, and = with blanks "
"""


class Made:
    """A disk with a descriptor that no program of ours wrote."""

    def __init__(self, folder, word, ending, embedded, parent=None):
        self.codec, name = ENCODINGS[word]
        self.stem = name
        self.path = folder / f"{name}.vmdk"
        text = TEXT.format(
            word=word,
            name=name,
            sectors=SECTORS,
            extent=f"{name}.vmdk" if embedded else f"{name}-s001.vmdk",
            kind="monolithicSparse" if embedded else "twoGbMaxExtentSparse",
            parent_cid="ffffffff" if parent is None else parent[0],
            hint="" if parent is None else f'parentFileNameHint="{parent[1]}"\n',
        )
        data = text.replace("\n", ENDINGS[ending]).encode(self.codec)
        part = Part("sparse", SECTORS, 16, grains={0: numbered(16), 3: b"", 2: numbered(16, 32)})
        self.content = part.content(b"")
        if embedded:
            self.path.write_bytes(sparse(part, data))
        else:
            (folder / f"{name}-s001.vmdk").write_bytes(sparse(part))
            self.path.write_bytes(data)
        self.before = self.lines(self.path)

    def lines(self, path):
        """Those that no job has a reason to change, with their ends."""
        with open_disk(path, single_link=True) as disk:
            data = disk.descriptor.to_bytes()
        lines = data.decode(self.codec).splitlines(keepends=True)
        return [line for line in lines if not line.startswith(MAY_CHANGE)]


@pytest.fixture(params=[False, True], ids=["beside", "embedded"])
def embedded(request):
    return request.param


@pytest.fixture(params=ENDINGS)
def ending(request):
    return request.param


@pytest.fixture(params=ENCODINGS)
def word(request):
    return request.param


@pytest.fixture
def made(word, ending, embedded, tmp_path):
    return Made(tmp_path, word, ending, embedded)


def write(made):
    with open_disk(made.path, writable=True) as disk:
        disk.write(0, b"new")
    made.content[:3] = b"new"


def grow(made):
    grow_disk(made.path, 2 * SECTORS * SECTOR)
    made.content += bytes(SECTORS * SECTOR)


def rename(made):
    new = made.path.with_name(f"{made.stem}-{made.stem}.vmdk")
    rename_disk(made.path, new)
    made.path = new


def commit(made):
    child = made.path.with_name("child.vmdk")
    create_child(made.path, child)
    with open_disk(child, writable=True) as disk:
        disk.write(70_000, b"new")
    made.content[70_000:70_003] = b"new"
    commit_child(child)


@pytest.mark.parametrize(
    "edit",
    [
        write,
        grow,
        rename,
        commit,
        lambda made: defragment(made.path),
        lambda made: shrink(made.path),
        lambda made: None,
    ],
    ids=["write", "grow", "rename", "commit", "defragment", "shrink", "nothing"],
)
def test_unknown_lines_stay_in_their_order(made, edit):
    edit(made)
    assert made.lines(made.path) == made.before
    with open_disk(made.path) as disk:
        assert read(disk, 0, disk.size) == made.content


def test_unknown_lines_of_a_child_stay_when_its_parent_changes(word, ending, embedded, tmp_path):
    for number, name in enumerate(("old", "new")):
        part = Part("sparse", SECTORS, 128, grains={1: numbered(128, number * 1000)})
        line = f'RW {SECTORS} SPARSE "{name}.vmdk"'
        head = f"version=1\nCID=0000000{number}\nparentCID=ffffffff\ncreateType=monolithicSparse\n"
        (tmp_path / f"{name}.vmdk").write_bytes(sparse(part, (head + line + "\n").encode()))
    child = Made(tmp_path, word, ending, embedded, parent=("00000000", "old.vmdk"))
    with open_disk(child.path) as disk:
        content = read(disk, 0, disk.size)
    rebase_child(child.path, tmp_path / "new.vmdk")
    rename_disk(tmp_path / "new.vmdk", tmp_path / "newer.vmdk")
    assert child.lines(child.path) == child.before
    os.unlink(tmp_path / "old.vmdk")
    with open_disk(child.path) as disk:
        assert read(disk, 0, disk.size) == content


@pytest.mark.parametrize("missing", [-1, 0, 1, 40])
def test_embedded_descriptor_that_fills_its_room(missing, tmp_path, to_raw):
    """To the last byte, and beyond: then it moves behind the grains, and others find it."""
    made = Made(tmp_path, "UTF-8", "LF", embedded=True)
    with open_disk(made.path) as disk:
        length = len(disk.descriptor.to_bytes())
    room = DESCRIPTOR_SECTORS * SECTOR - length - len('ddb.comment = ""\n')
    comment = "c" * (room - missing)
    set_metadata(made.path, {"comment": comment})
    write(made)
    with open_disk(made.path) as disk:
        assert disk.descriptor.get("ddb.comment") == comment
        assert read(disk, 0, disk.size) == made.content
        assert disk.flags == []
    assert to_raw(made.path, tmp_path / "raw").read_bytes() == made.content
