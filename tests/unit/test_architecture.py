# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arrows of docs/architecture.md point down only, and plain disks need no library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

ENGINE = Path(__file__).parents[2] / "plugins" / "module_utils"
BELOW = {
    "_device": set(),
    "_vmdk": {"_device"},
    "_repository": {"_device"},
    "_guest": {"_device"},
    "_vsphere": {"_device"},
    "_transport": {"_device", "_vmdk", "_vsphere"},
    "_job": {"_device", "_vmdk", "_repository", "_guest", "_transport", "_vsphere"},
}
OPTIONAL = {  # third-party modules, and the rooms that may ask for them
    "isal": {"_vmdk"},
    "zstandard": {"_repository"},
    "blake3": {"_repository"},
    "cryptography": {"_repository"},
    "obstore": {"_repository"},
    "botocore": {"_repository"},
    "mfusepy": {"_guest"},
}
ROOMS = {  # inside these too: each room, and those it may import
    "_vmdk": {
        "files": set(),
        "descriptor": set(),
        "extents": {"descriptor", "files"},
        "stream": {"extents"},
        "opening": {"descriptor", "files", "extents", "stream"},
        "life": {"descriptor", "files", "extents", "stream", "opening"},
        "redo": {"descriptor", "files", "extents", "opening", "life"},
        "compact": {"files", "extents", "opening", "life"},
        "check": {"descriptor", "files", "extents", "stream", "opening"},
        "salvage": {"descriptor", "files", "extents", "stream", "check"},
    },
    "_repository": {
        "store": {"libraries"},
        "format": {"libraries", "store"},
        "catalog": {"access", "format", "libraries", "store"},
        "read": {"access", "catalog", "format"},
        "write": {"access", "catalog", "format", "read", "store"},
        "prune": {"access", "catalog", "format", "read", "store"},
        "verify": {"access", "format", "read", "store", "write"},
        "copy": {"access", "catalog", "format", "read", "store", "write"},
        "keep": {"access", "format", "store"},
    },
    "_vsphere": {
        "connection": set(),
        "machine": {"connection"},
        "inventory": {"connection", "machine"},
        "disks": {"connection", "machine"},
        "snapshots": {"connection", "machine", "disks"},
        "changes": {"connection", "machine", "snapshots"},
        "vmconfig": {"connection", "machine", "inventory"},
    },
}
FILES = sorted(ENGINE.glob("_*/**/*.py"))


def imports(path):
    """(rooms of ours, top-level modules of others, whether at import time) of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_top = {id(node) for node in tree.body}
    level = len(path.relative_to(ENGINE).parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == level:
            room = (node.module or node.names[0].name).split(".")[0]
            yield room, None, id(node) in at_top
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield None, node.module.split(".")[0], id(node) in at_top
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield None, name.name.split(".")[0], id(node) in at_top


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_arrows_point_down(path):
    room = path.relative_to(ENGINE).parts[0]
    for ours, theirs, at_top in imports(path):
        assert ours is None or ours in BELOW[room], f"{path} imports {ours}"
        if theirs is None or theirs in sys.stdlib_module_names:
            continue
        assert theirs in OPTIONAL, f"{path} imports {theirs}"
        assert room in OPTIONAL[theirs], f"{room} must not need {theirs}"
        assert not at_top or path.name == "fuse.py", f"{path} needs {theirs} to be imported at all"


@pytest.mark.parametrize(
    "path",
    [path for package in ROOMS for path in sorted((ENGINE / package).glob("*/*.py"))],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_rooms_of_a_package(path):
    may = ROOMS[path.parts[-3]][path.parent.name]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            other = (node.module or node.names[0].name).split(".")[0]
            assert other in may, f"{path} imports {other}"


@pytest.mark.parametrize(
    "path", sorted((ENGINE / "_job" / "managed").glob("*.py")), ids=lambda path: path.name
)
def test_jobs_for_managed_disks_stand_on_no_hosted_ones(path):
    """Which hand over to them."""
    below = {"access", "facts", "fetch", "plan", "requests", "spec"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            assert node.module in below, f"{path} imports {node.module}"


def test_pyvmomi_is_had_from_one_place_only():
    naming = [path for path in FILES if 'import_module("pyVmomi' in path.read_text("utf-8")]
    assert [path.name for path in naming] == ["libraries.py"]


def test_init_files_are_empty():
    assert [path for path in FILES if path.name == "__init__.py" and path.stat().st_size] == []


def test_files_stay_readable():
    long = {path.name: path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
