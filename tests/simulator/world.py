# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is in the simulated vCenter when it starts.

A cluster of three hosts and a host alone; folders, resource pools, tags and an attribute; a
datastore of each kind; and virtual machines. The first ones are small ones of many sorts, whose
disks have file systems with files on them; all others have one empty disk.
"""

from __future__ import annotations

import dataclasses
import os
import uuid
from typing import Any

MIB = 1 << 20
DATASTORES = {"vmfs": "datastore1", "nfs": "nfs1", "vsan": "vsanDatastore"}
FOLDERS = ["web", "databases", "templates", "many"]
POOLS = ["production", "test"]
_IDS = uuid.UUID("8f1c2a34-6f0e-4a57-9a77-2d6f1b0c9e55")  # names become ids; the same ones always


@dataclasses.dataclass(frozen=True)
class Machine:
    name: str
    disks: tuple[int, ...]  # MiB each
    folder: str = ""
    pool: str = ""
    on: bool = True
    template: bool = False
    tags: tuple[str, ...] = ()
    owner: str = ""
    storage: str = ""  # another one than that of the world


MACHINES = (
    Machine("web01", (64, 32), "web", "production", tags=("gold",), owner="shop"),
    Machine("db01", (64, 48, 32), "databases", "production", tags=("gold",), owner="shop"),
    Machine("files01", (64,), "", "test", on=False, tags=("silver",), owner="office"),
    Machine("debian-template", (64,), "templates", on=False, template=True),
    Machine("proxy01", (64,), "", "", owner="backup"),
)


@dataclasses.dataclass
class World:
    home: str  # removed when the simulator ends
    machines: list[Machine]
    storage: str = "vmfs"  # where the disks of machines lie
    hosts: int = 3  # in each cluster
    clusters: int = 1
    modes: dict[str, Any] = dataclasses.field(default_factory=dict)
    username: str = "administrator@vsphere.local"
    password: str = "Not-the-default-1!"
    datacenter: str = "DC0"
    datacenter_reference: tuple[str, str] = ("Datacenter", "")  # set when it is there

    @property
    def datastore_dir(self) -> str:
        return os.path.join(self.home, "datastores")

    @property
    def datastores(self) -> dict[str, str]:
        """name → kind."""
        return {name: kind for kind, name in DATASTORES.items()}

    def directory(self, machine: Machine) -> str:
        """`[datastore] directory/`: vSAN names them by an id."""
        storage = machine.storage or self.storage
        name = str(uuid.uuid5(_IDS, machine.name)) if storage == "vsan" else machine.name
        return f"[{DATASTORES[storage]}] {name}/"

    def disks(self, machine: Machine) -> list[dict[str, Any]]:
        """In the order of their keys: 2000, 2001, …"""
        return [
            {
                "File": f"{self.directory(machine)}{machine.name}{f'_{n}' if n else ''}.vmdk",
                "Size": size * MIB,
                "UUID": disk_uuid(machine.name, n),
                "Mode": "persistent",
                "Thin": True,
            }
            for n, size in enumerate(machine.disks)
        ]

    def inventory(self) -> dict[str, Any]:
        """What vcsim/inventory.go reads."""
        for name in self.datastores:
            os.makedirs(os.path.join(self.datastore_dir, name), exist_ok=True)
        return {
            "Username": self.username,
            "Password": self.password,
            "Clusters": self.clusters,
            "Hosts": self.hosts,
            "Datastores": [
                {"Name": name, "Kind": kind, "Path": os.path.join(self.datastore_dir, name)}
                for name, kind in self.datastores.items()
            ],
            "Folders": FOLDERS,
            "Pools": POOLS,
            "VMs": [self._entry(machine) for machine in self.machines],
        }

    def _entry(self, machine: Machine) -> dict[str, Any]:
        return {
            "Name": machine.name,
            "Folder": machine.folder,
            "Pool": machine.pool,
            "File": f"{self.directory(machine)}{machine.name}.vmx",
            "On": machine.on,
            "Template": machine.template,
            "Disks": self.disks(machine),
        }


def machines(count: int, clusters: int = 1) -> list[Machine]:
    """As many as asked for; every tenth of the many is gold. Of several clusters, each has as many
    of them, of three sizes, and each fourth is on NFS."""
    if clusters > 1:
        return [*MACHINES[:count], *(_spread(n, clusters) for n in range(len(MACHINES), count))]
    many = [
        Machine(
            f"many{n:05}",
            (16,),
            "many",
            POOLS[n % 2],
            tags=("gold",) if n % 10 == 0 else ("silver",),
        )
        for n in range(len(MACHINES), count)
    ]
    return [*MACHINES[:count], *many]


def _spread(n: int, clusters: int) -> Machine:
    return Machine(
        f"many{n:05}",
        (8 << n % 3,),
        "many",
        f"DC0_C{n % clusters}",
        tags=("silver",),
        storage="" if n % 4 else "nfs",
    )


def disk_uuid(name: str, n: int) -> str:
    digits = uuid.uuid5(_IDS, f"{name} {n}").hex
    return str(uuid.UUID("6000c29" + digits[7:])).upper()
