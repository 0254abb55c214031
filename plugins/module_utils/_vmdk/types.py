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

# Other words for a type we handle, as found in the field.
_SYNONYMS = {
    "2gbmaxextentsparse": SPLIT_SPARSE,
    "2gbmaxextentflat": SPLIT_FLAT,
}

ADAPTER_TYPES = ("ide", "buslogic", "lsilogic", "legacyESX")


def canonical_type(create_type: str) -> str:
    """The createType as VMware writes it, whatever the case; an unknown one comes back as it is."""
    folded = create_type.lower()
    for known in CREATABLE_TYPES:
        if known.lower() == folded:
            return known
    return _SYNONYMS.get(folded, create_type)


# Kinds that are known and that nothing here opens (yet), and what to tell about them.
UNSUPPORTED_TYPES = {
    "fulldevice": "a whole physical disk",
    "partitioneddevice": "partitions of a physical disk",
    "vmfsrdm": "a raw device mapping (RDM)",
    "vmfsrawdevicemap": "a raw device mapping (RDM)",
    "vmfsrdmp": "a raw device mapping (RDM) in physical mode",
    "vmfspassthroughrawdevicemap": "a raw device mapping (RDM) in physical mode",
    "vmfsraw": "a raw device of an ESXi host",
    "vmfssparse": "an ESXi redo log (COWD)",
    "vmfssesparse": "an ESXi redo log (seSparse)",
    "sesparse": "an ESXi redo log (seSparse)",
    "vsansparse": "a redo log on vSAN",
}
UNSUPPORTED_EXTENTS = {
    "VMFSSPARSE": "an ESXi redo log (COWD)",
    "SESPARSE": "an ESXi redo log (seSparse)",
    "VSANSPARSE": "a redo log on vSAN",
    "VMFSRDM": "a raw device mapping (RDM)",
    "VMFSRAW": "a raw device of an ESXi host",
}
