# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills the new world: disks with file systems, tags, and who owns what."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from .soap import tag
from .world import MACHINES, Machine, disk_uuid

if TYPE_CHECKING:
    from .simulator import Simulator

_TAGGING = "/rest/com/vmware/cis/tagging"


def fill(simulator: Simulator) -> None:
    for machine in simulator.world.machines:
        for n, disk in enumerate(simulator.world.disks(machine)):
            made = simulator.images.create(disk["File"], disk["Size"], uuid=disk["UUID"])
            if machine in MACHINES:
                _file_system(made.top.data, machine, n)
                simulator.images.forget(disk["File"])  # what is allocated is read from the file
    ids = {
        each["name"].text or "": moref
        for moref, each in simulator.upstream.all("VirtualMachine", "name").items()
    }
    _tags(simulator, ids)
    _owners(simulator, ids)
    _objects(simulator)


def _objects(simulator: Simulator) -> None:
    """vSAN has folders of its own kind at the top."""
    no = tag("val", "false", xsi="xsd:boolean")
    for moref, each in simulator.upstream.all("Datastore", "name").items():
        if simulator.world.datastores[each["name"].text or ""] == "vsan":
            changes = {"capability.topLevelDirectoryCreateSupported": no}
            simulator.upstream.set("Datastore", moref, changes)


def _file_system(file: str, machine: Machine, n: int) -> None:
    """ext4, as a guest would have made it; without e2fsprogs the disk stays empty."""
    program = shutil.which("mke2fs", path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
    if program is None:
        return
    label = f"{machine.name}-{n}"[:16]
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.dirname(file))) as tree:
        _tree(tree, machine, n)
        command = [
            program,
            "-q",
            "-F",
            "-t",
            "ext4",
            "-L",
            label,
            "-U",
            disk_uuid(label, n).lower(),
        ]
        command += ["-E", "root_owner=0:0,nodiscard,lazy_itable_init=1", "-d", tree, file]
        subprocess.run(command, check=True, capture_output=True)


def _tree(root: str, machine: Machine, n: int) -> None:
    files = {
        "etc/hostname": f"{machine.name}\n",
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
        "var/log/boot.log": "".join(f"{line} {machine.name} is up\n" for line in range(2000)),
    }
    if n:
        files = {f"data/{name:03}.txt": f"{machine.name} {n} {name}\n" * 500 for name in range(40)}
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def _tags(simulator: Simulator, ids: dict[str, str]) -> None:
    world, rest = simulator.world, simulator.upstream.rest
    session = simulator.upstream.rest_session(world.username, world.password)
    kind = {
        "name": "backup",
        "description": "how often",
        "cardinality": "MULTIPLE",
        "associable_types": ["VirtualMachine"],
    }
    category = rest("POST", f"{_TAGGING}/category", {"create_spec": kind}, session)["value"]
    for name in ("gold", "silver"):
        spec = {"name": name, "description": "", "category_id": category}
        made = rest("POST", f"{_TAGGING}/tag", {"create_spec": spec}, session)["value"]
        tagged = [
            {"id": ids[machine.name], "type": "VirtualMachine"}
            for machine in world.machines
            if name in machine.tags
        ]
        target = f"{_TAGGING}/tag-association/id:{made}?~action=attach-tag-to-multiple-objects"
        rest("POST", target, {"object_ids": tagged}, session)


def _owners(simulator: Simulator, ids: dict[str, str]) -> None:
    manager = ("CustomFieldsManager", "CustomFieldsManager")
    call = simulator.upstream.call
    made = call(
        "AddCustomFieldDef", *manager, tag("name", "owner"), tag("moType", "VirtualMachine")
    )
    key = made.findtext("returnval/key")
    for machine in simulator.world.machines:
        if machine.owner:
            entity = tag("entity", ids[machine.name], type="VirtualMachine")
            call("SetField", *manager, entity, tag("key", key), tag("value", machine.owner))
