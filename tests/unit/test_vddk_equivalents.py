# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every function of VixDiskLib and every option of vmware-vdiskmanager: what does it here.

docs/vddk-equivalents.md is made of this table: `python tests/unit/test_vddk_equivalents.py`.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "plugins" / "modules"
DOCUMENT = ROOT / "docs" / "vddk-equivalents.md"
HERE, NOT_NEEDED, LATER = "here", "not needed", "later"


class Row(t.NamedTuple):
    """theirs: the name in VMware's header or manual. ours: calls as `module: option, option=value`.

    status: here (the module exists), not needed (nothing is left to do), later (not yet there).
    """

    theirs: str
    ours: tuple[str, ...]
    status: str = HERE
    note: str = ""


def _row(theirs: str, *ours: str, status: str = HERE, note: str = "") -> Row:
    return Row(theirs, ours, status, note)


_NO_LIBRARY = "there is no library to load; each task opens and closes what it needs"
_MANAGED = "needs the road to vSphere"

VIXDISKLIB = [
    _row("Init", status=NOT_NEEDED, note=_NO_LIBRARY),
    _row("InitEx", status=NOT_NEEDED, note=_NO_LIBRARY),
    _row("Exit", status=NOT_NEEDED, note=_NO_LIBRARY),
    _row("ListTransportModes", status=LATER, note=_MANAGED),
    _row("GetTransportMode", "vmdk_clone: src, dest", note="`transfer.transport` of the result"),
    _row("Connect", status=LATER, note=_MANAGED),
    _row("ConnectEx", status=LATER, note=_MANAGED),
    _row("Disconnect", status=NOT_NEEDED, note=_NO_LIBRARY),
    _row("AllocateConnectParams", status=LATER, note=_MANAGED),
    _row("GetConnectParams", status=LATER, note=_MANAGED),
    _row("FreeConnectParams", status=NOT_NEEDED, note=_NO_LIBRARY),
    _row("PrepareForAccess", status=LATER, note=f"{_MANAGED}; does nothing for hosted disks"),
    _row("EndAccess", status=LATER, note=f"{_MANAGED}; does nothing for hosted disks"),
    _row("Cleanup", status=LATER, note=f"{_MANAGED}; what hosted jobs leave, the next one ends"),
    _row("Create", "vmdk_create: path, size, disk_type, adapter_type, hw_version"),
    _row("CreateChild", "vmdk_snapshot: path, child, disk_type, state=present"),
    _row("Open", status=NOT_NEEDED, note="each module opens the disk with its chain and locks it"),
    _row("Close", status=NOT_NEEDED, note="flushed, marked clean and closed when the task ends"),
    _row("GetInfo", "vmdk_info: path"),
    _row("FreeInfo", status=NOT_NEEDED, note=_NO_LIBRARY),
    _row("Read", "vmdk_data: path, offset, length", "vmdk_data: path, offset, length, dest"),
    _row(
        "Write",
        "vmdk_data: path, offset, content_base64",
        "vmdk_data: path, offset, src",
        note="any byte, not sectors only",
    ),
    _row("ReadAsync", "vmdk_clone: src, dest", note="copies run on several threads"),
    _row("WriteAsync", "vmdk_clone: src, dest", note="copies run on several threads"),
    _row("Wait", status=NOT_NEEDED, note="a task ends when its work is done"),
    _row("Flush", status=NOT_NEEDED, note="a task ends when its work is durable"),
    _row(
        "QueryAllocatedBlocks", "vmdk_info: path", note="`disk.allocated`; copies skip the others"
    ),
    _row("FreeBlockList", status=NOT_NEEDED, note=_NO_LIBRARY),
    _row("ReadMetadata", "vmdk_data: path", "vmdk_info: path", note="`disk.metadata`"),
    _row("WriteMetadata", "vmdk_data: path, metadata", note="`remove_metadata` as well"),
    _row("GetMetadataKeys", "vmdk_info: path", note="the keys of `disk.metadata`"),
    _row("Unlink", "vmdk_create: path, state=absent", note="refused while children need the disk"),
    _row("Grow", "vmdk_resize: path, size", "vmdk_create: path, size", note="the geometry follows"),
    _row("Shrink", "vmdk_shrink: path"),
    _row("Defragment", "vmdk_defragment: path"),
    _row("Rename", "vmdk_rename: src, dest"),
    _row("Clone", "vmdk_clone: src, dest, disk_type", "vmdk_clone: src, dest, linked=true"),
    _row(
        "SpaceNeededForClone",
        "vmdk_info: path",
        note="`disk.allocated`; a copy that reserves its space checks for it first",
    ),
    _row("Attach", "vmdk_snapshot: path, child, state=attached"),
    _row(
        "IsAttachPossible",
        "vmdk_snapshot: path, child, state=attached",
        note="in check mode: fails with the reason where it is not",
    ),
    _row("CheckRepair", "vmdk_check: path, repair"),
    _row("GetErrorText", status=NOT_NEEDED, note="the message of a failed task says it whole"),
    _row("FreeErrorText", status=NOT_NEEDED, note=_NO_LIBRARY),
]

VDISKMANAGER = [
    _row("-c", "vmdk_create: path, size"),
    _row("-c -a", "vmdk_create: path, size, adapter_type"),
    _row("-c -s", "vmdk_create: path, size"),
    _row("-c -t", "vmdk_create: path, size, disk_type"),
    _row("-d", "vmdk_defragment: path"),
    _row("-k", "vmdk_shrink: path"),
    _row("-n", "vmdk_rename: src, dest"),
    _row("-p", "vmdk_shrink: path, trim=true"),
    _row("-r", "vmdk_clone: src, dest", note="in place: `vmdk_convert`"),
    _row("-r -t", "vmdk_clone: src, dest, disk_type", "vmdk_convert: path, disk_type"),
    _row("-x", "vmdk_resize: path, size", "vmdk_create: path, size"),
    _row("-R", "vmdk_check: path, repair"),
    _row(
        "-e", "vmdk_check: path", note="`vmdk_info` fails with the reason where a chain is broken"
    ),
    _row("-D", "vmdk_data: path, metadata", note='`deletable: "true"`'),
    _row("-U", "vmdk_create: path, state=absent"),
    _row("-q", status=NOT_NEEDED, note="progress is shown by Ansible's verbosity and callbacks"),
    _row("-h", status=LATER, note=_MANAGED),
    _row("-u", status=LATER, note=_MANAGED),
    _row("-f", status=LATER, note=_MANAGED),
]
ROWS = [*VIXDISKLIB, *VDISKMANAGER]
CALLS = [(row, call) for row in ROWS for call in row.ours]

# The public functions of vixDiskLib.h (VDDK 8), and the options of vmware-vdiskmanager's manual.
FUNCTIONS = """
Init InitEx Exit ListTransportModes Cleanup Connect PrepareForAccess ConnectEx EndAccess Disconnect
Create CreateChild Open QueryAllocatedBlocks FreeBlockList GetInfo FreeInfo GetTransportMode Close
Read Write ReadAsync WriteAsync Flush Wait ReadMetadata WriteMetadata GetMetadataKeys Unlink Grow
Shrink Defragment Rename Clone SpaceNeededForClone Attach IsAttachPossible CheckRepair GetErrorText
FreeErrorText AllocateConnectParams GetConnectParams FreeConnectParams
"""
OPTIONS = "-c -a -s -t -d -k -n -p -r -x -R -e -D -U -q -h -u -f"


def _options(module: str) -> dict[str, t.Any]:
    """The documented options of a module."""
    source = (MODULES / f"{module}.py").read_text(encoding="utf-8")
    text = re.search(r'^DOCUMENTATION = r"""\n(.*?)^"""', source, re.DOTALL | re.MULTILINE)
    assert text is not None
    return t.cast("dict[str, t.Any]", yaml.safe_load(text[1])["options"])


def test_every_function_is_in_the_table_once():
    assert sorted(row.theirs for row in VIXDISKLIB) == sorted(FUNCTIONS.split())


def test_every_option_is_in_the_table():
    named = {word for row in VDISKMANAGER for word in row.theirs.split()}
    assert named == set(OPTIONS.split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.theirs)
def test_status_says_what_there_is(row):
    assert row.status in (HERE, NOT_NEEDED, LATER)
    assert bool(row.ours) is (row.status == HERE)
    assert row.ours or row.note


@pytest.mark.parametrize("row, call", CALLS, ids=[f"{row.theirs} {call}" for row, call in CALLS])
def test_call_is_one_that_the_module_takes(row, call):
    module, _colon, given = call.partition(": ")
    options = _options(module)
    words = [word.partition("=")[::2] for word in given.split(", ")]
    for name, value in words:
        assert name in options, f"{module} has no option {name}"
        if value and "choices" in options[name]:
            assert value in options[name]["choices"]
    needed = {name for name, option in options.items() if option.get("required")}
    assert needed <= {name for name, _value in words}


def test_document_is_made_of_the_table():
    assert DOCUMENT.read_text(encoding="utf-8") == render()


_HEAD = """\
# What does it here?

Every function of VMware's VixDiskLib (VixMntapi aside) and every option of vmware-vdiskmanager,
and the module call that does it. Made of the table in `tests/unit/test_vddk_equivalents.py`, which
is tested against the modules; run that file to write this one.

Status: **here**, **not needed** (nothing is left to do), **later** (not in this release).
"""


def render() -> str:
    """docs/vddk-equivalents.md."""
    functions = _section("VixDiskLib", VIXDISKLIB, "VixDiskLib_")
    options = _section("vmware-vdiskmanager", VDISKMANAGER, "")
    return "\n".join([_HEAD, *functions, "", *options]) + "\n"


def _section(title: str, rows: list[Row], prefix: str) -> list[str]:
    lines = [f"## {title}", "", "| Theirs | Here | Status | |", "|---|---|---|---|"]
    for row in rows:
        ours = "<br>".join(f"`{call}`" for call in row.ours)
        lines.append(f"| `{prefix}{row.theirs}` | {ours} | {row.status} | {row.note} |")
    return lines


if __name__ == "__main__":
    DOCUMENT.write_text(render(), encoding="utf-8")
