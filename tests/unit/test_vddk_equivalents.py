# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every function of VixDiskLib and every option of vmware-vdiskmanager is in the table.

What its tasks do is tested in tests/integration/modules/test_vddk_equivalents.py.
docs/vddk-equivalents.md is made of the table: `python tests/unit/test_vddk_equivalents.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "vddk-equivalents.md"
TABLE = yaml.safe_load((ROOT / "tests" / "vddk_equivalents.yml").read_text(encoding="utf-8"))
ROWS = [*TABLE["functions"], *TABLE["options"]]
STATES = ("not needed", "an option", "missing")

# The public functions of vixDiskLib.h (VDDK 8), and the options of vmware-vdiskmanager's manual.
FUNCTIONS = """
Init InitEx Exit ListTransportModes Cleanup Connect PrepareForAccess ConnectEx EndAccess Disconnect
Create CreateChild Open QueryAllocatedBlocks FreeBlockList GetInfo FreeInfo GetTransportMode Close
Read Write ReadAsync WriteAsync Flush Wait ReadMetadata WriteMetadata GetMetadataKeys Unlink Grow
Shrink Defragment Rename Clone SpaceNeededForClone Attach IsAttachPossible CheckRepair GetErrorText
FreeErrorText AllocateConnectParams GetConnectParams FreeConnectParams
"""
OPTIONS = "-c -a -s -t -d -k -n -p -r -x -R -e -D -U -q -h -u -f"


def test_every_function_is_in_the_table():
    names = {row["theirs"].partition(":")[0] for row in TABLE["functions"]}
    assert names == set(FUNCTIONS.split())


def test_every_option_is_in_the_table():
    words = {word for row in TABLE["options"] for word in row["theirs"].split()}
    assert {word for word in words if word.startswith("-")} == set(OPTIONS.split())


@pytest.mark.parametrize("command", ["-c", "-r"])
def test_every_type_is_in_the_table(command):
    names = [row["theirs"] for row in TABLE["options"]]
    assert [f"{command} -t {number}" in names for number in range(7)] == [True] * 7


def test_nothing_is_there_twice():
    names = [row["theirs"] for row in ROWS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["theirs"])
def test_row_has_a_task_or_says_why_not(row):
    assert set(row) <= {"theirs", "does", "task", "status", "note"}
    assert ("task" in row) != ("status" in row)
    assert "task" in row or (row["status"] in STATES and row["note"])


def test_document_is_made_of_the_table():
    assert DOCUMENT.read_text(encoding="utf-8") == render()


_HEAD = """\
# What does it here?

Every function of VMware's VixDiskLib (VixMntapi aside) and every option of vmware-vdiskmanager, and
the task that does it. Every task is run by the tests as it is printed, but for the folder: in check
mode, for real, and once more; other programs judge what it did. Module names are short for
`vdisk.lifecycle.…`.

This document is made of `tests/vddk_equivalents.yml`: run
`python tests/unit/test_vddk_equivalents.py`.

What has no task of its own is **not needed** (nothing is left to do), **an option** (of the tasks
that work [with vSphere](vsphere.md)) or **missing**.
"""


def render() -> str:
    """docs/vddk-equivalents.md."""
    functions = _section("VixDiskLib", TABLE["functions"])
    options = _section("vmware-vdiskmanager", TABLE["options"])
    return "\n".join([_HEAD, *functions, "", *options]) + "\n"


def _section(title: str, rows: list[dict[str, object]]) -> list[str]:
    lines = [f"## {title}", "", "| Theirs | Does | Here | |", "|---|---|---|---|"]
    for row in rows:
        task = row.get("task")
        here = f"`{_flow(task)}`" if task else f"**{row['status']}**"
        lines.append(
            f"| `{row['theirs']}` | {row.get('does', '')} | {here} | {row.get('note', '')} |"
        )
    return lines


def _flow(task: object) -> str:
    """On one line, as a user may write it."""
    text = yaml.safe_dump(task, default_flow_style=True, sort_keys=False, width=1000)
    return text.strip().removeprefix("{").removesuffix("}")


if __name__ == "__main__":
    DOCUMENT.write_text(render(), encoding="utf-8")
