# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`/folder/<path>?dcPath=…&dsName=…`: the files of datastores over HTTPS.

As vCenter has it: a session's cookie or Basic authentication, ranges for reading, whole files for
writing. Some ESXi hosts answer without ranges: POST mode {"ranges": false}.
"""

from __future__ import annotations

import html
import os
import re
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .handlers import FILE_GUARDS, handles, mode
from .redo_files import RedoFile

if TYPE_CHECKING:
    from .server import Request
    from .simulator import Simulator

mode("ranges", True)

PIECE = 1 << 20
_DATA = re.compile(r"-(flat|sesparse|delta)\.vmdk$")
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")


class Refused(Exception):
    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


@handles("GET /folder", "HEAD /folder", "PUT /folder")
def folder(simulator: Simulator, request: Request) -> None:
    try:
        file = _permitted(simulator, request)
        if request.command == "PUT":
            status = _put(request, file)
            # What is in memory of that disk is not true any more.
            simulator.images.forget(_DATA.sub(".vmdk", _path(request)))
            request.send(status)
        elif os.path.isdir(file):
            request.send(200, _listing(file), {"Content-Type": "text/html; charset=utf-8"})
        else:
            _get(simulator, request, file)
    except Refused as refused:
        request.refuse(refused.status, refused.message, refused.headers)


def _path(request: Request) -> str:
    file = request.url_path.removeprefix("/folder").lstrip("/")
    return f"[{request.query.get('dsName', '')}] {file}"


def _permitted(simulator: Simulator, request: Request) -> str:
    """The file on this machine."""
    if not simulator.sessions.allows(request.fields):
        realm = {"WWW-Authenticate": 'Basic realm="VMware HTTP server"'}
        raise Refused(401, "Unauthorized", **realm)
    datastore, datacenter = request.query.get("dsName", ""), request.query.get("dcPath", "")
    known = datastore in simulator.world.datastores
    if not known or datacenter.strip("/") not in ("", simulator.world.datacenter, "ha-datacenter"):
        raise Refused(404, f"no datastore {datastore} in {datacenter}")
    path = _path(request)
    try:
        file = simulator.images.file(path + "." * path.endswith("] "))
    except ValueError as error:
        raise Refused(400, str(error)) from None
    wanted = "Datastore.FileManagement" if request.command == "PUT" else "Datastore.Browse"
    if wanted in simulator.mode["denied"]:
        raise Refused(403, f"Forbidden: {wanted} is wanted")
    for guard in FILE_GUARDS:
        if reason := guard(simulator, request.command, path):
            raise Refused(500, str(reason))
    if request.command != "PUT" and not os.path.exists(file):
        raise Refused(404, f"{path} was not found")
    return file


def _get(simulator: Simulator, request: Request, file: str) -> None:
    redo = _redo(simulator, _path(request))
    size = redo.size if redo else os.path.getsize(file)
    headers = {"Content-Type": "application/octet-stream"}
    start, length, status = 0, size, 200
    if simulator.mode["ranges"]:
        headers["Accept-Ranges"] = "bytes"
        wanted = _range(request.headers.get("Range", ""), size)
        if wanted is not None:
            start, length = wanted
            status = 206
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    pieces = redo.pieces(start, length) if redo else _pieces(file, start, length)
    request.stream(status, pieces, length, headers)


def _redo(simulator: Simulator, path: str) -> RedoFile | None:
    """For the data of a delta that is one of the model's."""
    if not path.endswith(("-sesparse.vmdk", "-delta.vmdk")):
        return None
    with simulator.images.lock:
        try:
            layer = simulator.images.open(_DATA.sub(".vmdk", path)).top
        except (OSError, ValueError, KeyError):
            return None
        return RedoFile(layer) if layer.parent is not None else None


def _range(header: str, size: int) -> tuple[int, int] | None:
    """(start, length); None where the whole file is the answer, as also for several ranges."""
    match = _RANGE.match(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last or size - 1), size - 1)
    else:
        start, end = max(size - int(last), 0), size - 1
    if start >= size or (last and first and int(last) < start):
        raise Refused(416, "no such range", **{"Content-Range": f"bytes */{size}"})
    return start, end - start + 1


def _pieces(file: str, start: int, length: int) -> Iterator[bytes]:
    with open(file, "rb") as source:
        source.seek(start)
        while length:
            piece = source.read(min(PIECE, length))
            if not piece:
                raise ConnectionError(f"{file} became shorter")
            length -= len(piece)
            yield piece


def _put(request: Request, file: str) -> int:
    """The status to answer. The old file stays until the new one is whole; no ranges here."""
    if not os.path.isdir(os.path.dirname(file)):
        raise Refused(404, "no such directory")
    existed = os.path.exists(file)
    if request.headers.get("Expect", "").lower() == "100-continue":
        pass  # http.server has said so
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(file), delete=False) as target:
        try:
            for piece in request.read_chunks():
                target.write(piece)
        except BaseException:
            os.unlink(target.name)
            raise
    os.chmod(target.name, 0o644)
    os.replace(target.name, file)
    return 200 if existed else 201


def _listing(directory: str) -> bytes:
    names = sorted(
        name + "/" * os.path.isdir(os.path.join(directory, name)) for name in os.listdir(directory)
    )
    rows = "".join(
        f'<li><a href="{html.escape(name)}">{html.escape(name)}</a></li>' for name in names
    )
    return f"<html><body><ul>{rows}</ul></body></html>".encode()
