# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An NFS client that is not ours and not the kernel's: libnfs, by ctypes."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SONAME = "libnfs.so.13"
AT_ONCE = 1024  # bytes; it cannot send many more
_POINTER, _OUT = ctypes.c_void_p, ctypes.byref


def library() -> Any:
    """None where it is not installed."""
    try:
        found = ctypes.CDLL(SONAME)
    except OSError:
        return None
    for name in ("nfs_init_context", "nfs_parse_url_dir"):
        getattr(found, name).restype = _POINTER
    found.nfs_get_error.restype = ctypes.c_char_p
    return found


class Client:
    """Files by their names in the share."""

    def __init__(self, nfs: Any, context: Any) -> None:
        self._nfs, self._context = nfs, context

    def read(self, name: str, offset: int, length: int) -> bytes:
        with self._open(name, os.O_RDONLY) as handle:
            buffer = ctypes.create_string_buffer(length)
            done = 0
            while done < length:
                part = _OUT(buffer, done)
                count = self._nfs.nfs_pread(
                    self._context,
                    handle,
                    ctypes.c_uint64(offset + done),
                    ctypes.c_uint64(min(length - done, 1 << 20)),
                    part,
                )
                if not self._done(count):
                    break
                done += count
            return buffer.raw[:done]

    def write(self, name: str, offset: int, data: bytes) -> None:
        with self._open(name, os.O_RDWR) as handle:
            for done in range(0, len(data), AT_ONCE):
                part, at = data[done : done + AT_ONCE], ctypes.c_uint64(offset + done)
                count = self._nfs.nfs_pwrite(
                    self._context, handle, at, ctypes.c_uint64(len(part)), part
                )
                assert self._done(count) == len(part)
            self._done(self._nfs.nfs_fsync(self._context, handle))

    def create(self, name: str) -> None:
        handle = _POINTER()
        self._done(self._nfs.nfs_creat(self._context, f"/{name}".encode(), 0o600, _OUT(handle)))
        self._done(self._nfs.nfs_close(self._context, handle))

    def rename(self, old: str, new: str) -> None:
        self._done(self._nfs.nfs_rename(self._context, f"/{old}".encode(), f"/{new}".encode()))

    def unlink(self, name: str) -> None:
        self._done(self._nfs.nfs_unlink(self._context, f"/{name}".encode()))

    def truncate(self, name: str, length: int) -> None:
        self._done(
            self._nfs.nfs_truncate(self._context, f"/{name}".encode(), ctypes.c_uint64(length))
        )

    @contextmanager
    def _open(self, name: str, flags: int) -> Iterator[Any]:
        handle = _POINTER()
        self._done(self._nfs.nfs_open(self._context, f"/{name}".encode(), flags, _OUT(handle)))
        try:
            yield handle
        finally:
            self._done(self._nfs.nfs_close(self._context, handle))

    def _done(self, code: int) -> int:
        if code < 0:
            raise OSError(-code, self._nfs.nfs_get_error(self._context).decode(errors="replace"))
        return code


@contextmanager
def mounted(port: int) -> Iterator[Client]:
    nfs = library()
    context = _POINTER(nfs.nfs_init_context())
    url = f"nfs://127.0.0.1/vdisk?version=4&nfsport={port}".encode()
    try:
        parsed = nfs.nfs_parse_url_dir(context, url)
        assert parsed, nfs.nfs_get_error(context)
        client = Client(nfs, context)
        client._done(nfs.nfs_mount(context, b"127.0.0.1", b"/vdisk"))
        yield client
    finally:
        nfs.nfs_destroy_context(context)
