# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small text file that names a managed disk: as ESXi writes it."""

from __future__ import annotations

import dataclasses
import re
import secrets

SECTOR = 512
NO_PARENT = "ffffffff"

_TEMPLATE = """\
# Disk DescriptorFile
version=1
encoding="UTF-8"
CID={cid}
parentCID={parent_cid}
createType="{create_type}"
{hint}
# Extent description
RW {sectors} {access} "{extent}"

# The Disk Data Base
#DDB

"""


@dataclasses.dataclass
class Descriptor:
    create_type: str  # vmfs, seSparse, vmfsSparse
    size: int  # bytes
    extent: str  # file name beside the descriptor
    cid: str = ""
    parent_cid: str = NO_PARENT
    parent: str = ""  # file name of the parent's descriptor
    database: dict[str, str] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        access = {"vmfs": "VMFS", "seSparse": "SESPARSE", "vmfsSparse": "VMFSSPARSE"}
        head = _TEMPLATE.format(
            cid=self.cid,
            parent_cid=self.parent_cid,
            create_type=self.create_type,
            hint=f'parentFileNameHint="{self.parent}"\n' if self.parent else "",
            sectors=self.size // SECTOR,
            access=access[self.create_type],
            extent=self.extent,
        )
        return head + "".join(f'{key} = "{value}"\n' for key, value in self.database.items())


# What ESXi gives to all disks that nobody has written to yet.
FRESH_CID = "fffffffe"


def new_cid() -> str:
    return f"{secrets.randbelow(0xFFFFFFFE):08x}"


def database(size: int, uuid: str, thin: bool, adapter: str = "lsilogic") -> dict[str, str]:
    entries = {
        "ddb.adapterType": adapter,
        "ddb.geometry.cylinders": str(min(size // (255 * 63 * SECTOR), 65535)),
        "ddb.geometry.heads": "255",
        "ddb.geometry.sectors": "63",
        "ddb.longContentID": secrets.token_hex(16),
    }
    if thin:
        entries["ddb.thinProvisioned"] = "1"
    return entries | {"ddb.uuid": as_ddb(uuid), "ddb.virtualHWVersion": "19"}


def as_ddb(uuid: str) -> str:
    """`6000C298-12ab-…` of the API is `60 00 C2 98 12 ab …-…` in the file."""
    digits = uuid.replace("-", "")
    pairs = [digits[i : i + 2] for i in range(0, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def parse(text: str) -> Descriptor:
    """What parse reads, `text` writes back; of extents there is one."""
    values = dict(re.findall(r'^(\w+)\s*=\s*"?([^"\n]*)"?$', text, re.MULTILINE))
    extent = re.search(r'^RW (\d+) \w+ "([^"]+)"', text, re.MULTILINE)
    if extent is None:
        raise ValueError("no extent in this descriptor")
    return Descriptor(
        create_type=values["createType"],
        size=int(extent[1]) * SECTOR,
        extent=extent[2],
        cid=values["CID"],
        parent_cid=values["parentCID"],
        parent=values.get("parentFileNameHint", ""),
        database=dict(re.findall(r'^(ddb\.\S+) = "([^"\n]*)"$', text, re.MULTILINE)),
    )
