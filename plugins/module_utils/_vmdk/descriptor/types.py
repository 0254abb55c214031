# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The words VMware uses for kinds of disks, written as VMware writes them (TN p.3-4)."""

from __future__ import annotations

MONOLITHIC_SPARSE = "monolithicSparse"
MONOLITHIC_FLAT = "monolithicFlat"
SPLIT_SPARSE = "twoGbMaxExtentSparse"
SPLIT_FLAT = "twoGbMaxExtentFlat"
VMFS = "vmfs"
STREAM_OPTIMIZED = "streamOptimized"

# What new_disk() makes; streams are written front to back, the others anywhere.
STREAM_TYPES = (STREAM_OPTIMIZED,)
SPARSE_TYPES = (MONOLITHIC_SPARSE, SPLIT_SPARSE)
FLAT_TYPES = (MONOLITHIC_FLAT, SPLIT_FLAT, VMFS)
CREATABLE_TYPES = (*SPARSE_TYPES, *FLAT_TYPES, *STREAM_TYPES)
CHILD_TYPES = SPARSE_TYPES

# Those that others make and that are opened here.
FULL_DEVICE = "fullDevice"
PARTITIONED_DEVICE = "partitionedDevice"
CUSTOM = "custom"
VMFS_SPARSE = "vmfsSparse"
SE_SPARSE = "seSparse"
VMFS_THIN = "vmfsThin"
_OTHER_TYPES = (
    FULL_DEVICE,
    PARTITIONED_DEVICE,
    CUSTOM,
    VMFS_SPARSE,
    SE_SPARSE,
    VMFS_THIN,
    "vmfsPreallocated",
    "vmfsEagerZeroedThick",
    "vmfsThick",
    "vmfsRDM",
    "vmfsRDMP",
    "vmfsRaw",
)

# Other words for a type we handle, as found in the field.
_SYNONYMS = {
    "2gbmaxextentsparse": SPLIT_SPARSE,
    "2gbmaxextentflat": SPLIT_FLAT,
    "vmfssesparse": SE_SPARSE,
    "vmfsrawdevicemap": "vmfsRDM",
    "vmfspassthroughrawdevicemap": "vmfsRDMP",
}

ADAPTER_TYPES = ("ide", "buslogic", "lsilogic", "legacyESX")


def canonical_type(create_type: str) -> str:
    """The createType as VMware writes it, whatever the case; an unknown one comes back as it is."""
    folded = create_type.lower()
    for known in (*CREATABLE_TYPES, *_OTHER_TYPES):
        if known.lower() == folded:
            return known
    return _SYNONYMS.get(folded, create_type)


# Kinds that are known and that nothing here opens, and what to tell about them.
UNSUPPORTED_TYPES = {"vsansparse": "a redo log on vSAN"}
UNSUPPORTED_EXTENTS = {"VSANSPARSE": "a redo log on vSAN"}
