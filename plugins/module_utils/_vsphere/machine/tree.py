# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The tree of a VM's snapshots. What is read of the VM (`snapshot`) is passed as properties."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskNotFound

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def all_snapshots(of_vm: Mapping[str, t.Any]) -> Iterator[t.Any]:
    """Every node (vim.vm.SnapshotTree), parents before children."""
    waiting = list(getattr(of_vm.get("snapshot"), "rootSnapshotList", None) or ())
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting.extend(node.childSnapshotList or ())


def find_snapshot(of_vm: Mapping[str, t.Any], snapshot: t.Any) -> t.Any:
    """The node of a snapshot. Raises DiskNotFound."""
    for node in all_snapshots(of_vm):
        if node.snapshot._moId == snapshot._moId:
            return node
    raise DiskNotFound(f"the snapshot {snapshot._moId} is gone: somebody else removed it")


def ancestors(of_vm: Mapping[str, t.Any], node: t.Any) -> list[t.Any]:
    """The nodes above one in the tree, which it stands on: the oldest first."""
    parents = {
        child.id: parent
        for parent in all_snapshots(of_vm)
        for child in parent.childSnapshotList or ()
    }
    found: list[t.Any] = []
    while node.id in parents:
        node = parents[node.id]
        found.insert(0, node)
    return found
