# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A descriptor for a disk that does not exist yet, in VMware's layout."""

from __future__ import annotations

import typing as t

from .content_id import NO_PARENT, new_cid, new_long_content_id, new_uuid
from .descriptor import Descriptor
from .geometry import geometry_for

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .extent_line import ExtentLine

_UNKNOWN_TOOLS = "2147483647"  # what VMware writes when no guest tools were ever seen

_TEXT = """\
# Disk DescriptorFile
version=1
encoding="UTF-8"
CID={cid:08x}
parentCID={parent_cid:08x}
isNativeSnapshot="no"
createType="{create_type}"
{hint}
# Extent description
{extents}

# The Disk Data Base
#DDB

"""


def new_descriptor(
    create_type: str,
    extents: Sequence[ExtentLine],
    *,
    adapter_type: str,
    hw_version: int,
    metadata: Mapping[str, str],
    parent: tuple[int, str] | None = None,
) -> Descriptor:
    """Build it. `parent` is (CID, file name hint); `metadata` wins over our own ddb keys."""
    cid = new_cid()
    parent_cid, hint = parent or (NO_PARENT, None)
    text = _TEXT.format(
        cid=cid,
        parent_cid=parent_cid,
        create_type=create_type,
        hint="" if hint is None else f'parentFileNameHint="{hint}"\n',
        extents="\n".join(map(str, extents)),
    )
    descriptor = Descriptor(text.encode("utf-8", "surrogateescape"))
    facts = _data_base(descriptor.sectors, adapter_type, hw_version)
    for key, value in {**facts, "longContentID": new_long_content_id(cid), **metadata}.items():
        descriptor.set(f"ddb.{key}", value)
    return descriptor


def _data_base(capacity: int, adapter_type: str, hw_version: int) -> dict[str, str]:
    shape = geometry_for(capacity, adapter_type)
    return {
        "adapterType": adapter_type,
        "geometry.cylinders": str(shape.cylinders),
        "geometry.heads": str(shape.heads),
        "geometry.sectors": str(shape.sectors),
        "toolsVersion": _UNKNOWN_TOOLS,
        "uuid": new_uuid(),
        "virtualHWVersion": str(hw_version),
    }
