# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of vSAN: an object each, which DatastoreNamespaceManager makes and FileManager cannot.

The object has an id; the name that users know is a link to it.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

from ..handlers import FORWARD, handles
from ..soap import Call, Fault, Reply, reply, returnval, tag
from .changes import invalid

if TYPE_CHECKING:
    from ..simulator import Simulator


@handles("MakeDirectory")
def make_directory(simulator: Simulator, call: Call) -> Any:
    path = call.text("name")
    datastore, _bracket, file = path[1:].partition("]")
    if simulator.world.datastores.get(datastore) != "vsan":
        return FORWARD
    directory, top = simulator.images.file(path), file.strip().strip("/").split("/")[0]
    if not os.path.isdir(simulator.images.file(f"[{datastore}] {top}")):
        raise Fault("CannotCreateFile", f"Cannot create file {path}", tag("file", path))
    _make(directory, path, parents=call.text("createParentDirectories") == "true")
    return reply(call)


@handles("CreateDirectory")
def create_directory(simulator: Simulator, call: Call) -> Reply:
    (_type, id), name = call.reference("datastore") or ("", ""), call.text("displayName")
    found = simulator.upstream.all("Datastore", "name").get(id, {})
    datastore = found["name"].text or "" if found else ""
    if simulator.world.datastores.get(datastore) != "vsan":
        raise Fault("CannotCreateFile", f"not on {datastore}", tag("file", name))
    if not name or "/" in name or ".." in name:
        raise invalid("displayName")
    known, root = str(uuid.uuid4()), os.path.join(simulator.images.directory, datastore)
    if os.path.lexists(os.path.join(root, name)):
        raise _exists(f"[{datastore}] {name}")
    os.mkdir(os.path.join(root, known))
    os.symlink(known, os.path.join(root, name))
    return returnval(call, f"/vmfs/volumes/{datastore}/{known}")


def _make(directory: str, path: str, *, parents: bool) -> None:
    try:
        os.makedirs(directory) if parents else os.mkdir(directory)
    except FileExistsError:
        raise _exists(path) from None
    except FileNotFoundError:
        raise Fault("FileNotFound", f"File {path} was not found", tag("file", path)) from None


def _exists(path: str) -> Fault:
    return Fault("FileAlreadyExists", f"{path} already exists", tag("file", path))
