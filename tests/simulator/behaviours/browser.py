# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HostDatastoreBrowser: what a search says of disks, which vcsim knows only by name."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..handlers import handles
from ..images import BLOCK, Disk
from ..soap import XSI_TYPE, Call, Fault, Reply, Xml, tag, task_reply
from .content import THIN, adapter_of, kind_of

if TYPE_CHECKING:
    from ..simulator import Simulator

_CONTROLLERS = {
    "lsilogic": "VirtualLsiLogicController",
    "buslogic": "VirtualBusLogicController",
    "ide": "VirtualIDEController",
    "pvscsi": "ParaVirtualSCSIController",
}
_DATA = ("-flat.vmdk", "-sesparse.vmdk", "-delta.vmdk", "-ctk.vmdk")


@handles("SearchDatastore_Task", "SearchDatastoreSubFolders_Task")
def search(simulator: Simulator, call: Call) -> Reply:
    deep = call.method == "SearchDatastoreSubFolders_Task"

    def work() -> Xml:
        top = call.text("datastorePath")
        found = list(_search(simulator, call, top, deep))
        if not deep:
            return tag("result", found[0], xsi="HostDatastoreBrowserSearchResults")
        inside = (tag("HostDatastoreBrowserSearchResults", each) for each in found)
        return tag("result", *inside, xsi="ArrayOfHostDatastoreBrowserSearchResults")

    entity = simulator.world.datacenter_reference
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def _search(simulator: Simulator, call: Call, path: str, deep: bool) -> Iterator[Xml]:
    """The markup inside each HostDatastoreBrowserSearchResults."""
    directory = _directory(simulator, path)
    files = [
        _file(simulator, call, _join(path, name), os.path.join(directory, name))
        for name in sorted(os.listdir(directory))
        if _wanted(call, name, os.path.isdir(os.path.join(directory, name)))
    ]
    yield Xml(tag("folderPath", path) + "".join(files))
    for name in sorted(os.listdir(directory)) if deep else []:
        if os.path.isdir(os.path.join(directory, name)):
            yield from _search(simulator, call, _join(path, name) + "/", deep)


def _directory(simulator: Simulator, path: str) -> str:
    try:
        name = path[1:].partition("]")[0]
        if name not in simulator.world.datastores:
            raise Fault("InvalidDatastore", f"Invalid datastore '{name}'.", tag("name", name))
        directory = simulator.images.file(path + "." if path.endswith("]") else path)
    except ValueError:
        raise Fault("InvalidDatastorePath", path, tag("datastorePath", path)) from None
    if not os.path.isdir(directory):
        raise Fault("FileNotFound", f"File {path} was not found", tag("file", path))
    return directory


def _join(path: str, name: str) -> str:
    if path.endswith("]"):
        return f"{path} {name}"
    return path.rstrip("/") + "/" + name if not path.endswith("] ") else path + name


def _wanted(call: Call, name: str, is_directory: bool) -> bool:
    patterns = [each.text or "" for each in call.body.findall("searchSpec/matchPattern")]
    if patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
        return False
    queries = [each.get(XSI_TYPE, "FileQuery") for each in call.body.findall("searchSpec/query")]
    return not queries or any(_answers(query, name, is_directory) for query in queries)


def _answers(query: str, name: str, is_directory: bool) -> bool:
    if query == "FileQuery":
        return True
    if query == "FolderFileQuery":
        return is_directory
    if query == "VmDiskFileQuery":
        return name.endswith(".vmdk") and not name.endswith(_DATA)
    endings = {
        "VmConfigFileQuery": ".vmx",
        "VmLogFileQuery": ".log",
        "VmNvramFileQuery": ".nvram",
        "VmSnapshotFileQuery": ".vmsn",
        "IsoImageFileQuery": ".iso",
        "FloppyImageFileQuery": ".flp",
    }
    return name.endswith(endings.get(query, "\0"))


def _file(simulator: Simulator, call: Call, path: str, file: str) -> Xml:
    wanted = {
        each: call.text(f"searchSpec/details/{each}") == "true"
        for each in ("fileType", "fileSize", "modification", "fileOwner")
    }
    image = _image(simulator, path)
    size = os.stat(file).st_size if image is None else space(simulator, image)
    changed = datetime.fromtimestamp(os.stat(file).st_mtime, timezone.utc).isoformat()
    common = [
        tag("path", os.path.basename(file)),
        tag("fileSize", size) if wanted["fileSize"] else "",
        tag("modification", changed) if wanted["modification"] else "",
        tag("owner", "root") if wanted["fileOwner"] else "",
    ]
    if os.path.isdir(file):
        return tag("file", *common, xsi="FolderFileInfo")
    if image is None or not wanted["fileType"]:
        return tag("file", *common, xsi="FileInfo")
    return tag("file", *common, *_disk(simulator, image), xsi="VmDiskFileInfo")


def space(simulator: Simulator, image: Disk) -> int:
    """Bytes on the datastore: a thick disk has all of its own."""
    if image.top.parent is None and kind_of(simulator, image) != THIN:
        return image.size
    return len(image.top.held) * BLOCK


def _disk(simulator: Simulator, image: Disk) -> list[Xml]:
    base = image.layers[0]
    version = base.descriptor.database.get("ddb.virtualHWVersion", "4")
    extent = image.path.rpartition("/")[0] + "/" + image.top.descriptor.extent
    return [
        tag("diskType", "VirtualDiskFlatVer2BackingInfo"),
        tag("capacityKb", image.size // 1024),
        tag("hardwareVersion", version),
        tag("controllerType", _CONTROLLERS.get(adapter_of(image), "ParaVirtualSCSIController")),
        tag("diskExtents", extent),
        tag("thin", kind_of(simulator, image) == THIN),
    ]


def _image(simulator: Simulator, path: str) -> Disk | None:
    if not path.endswith(".vmdk") or path.endswith(_DATA):
        return None
    try:
        return simulator.images.open(path)
    except (OSError, ValueError, KeyError):
        return None
