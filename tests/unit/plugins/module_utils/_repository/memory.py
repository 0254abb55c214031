# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store in memory: as an object store behaves, and fast enough for thousands of histories."""

from __future__ import annotations

import itertools
import os
import threading

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskNotFound,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.protocol import (
    Stored,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.session import (
    SESSIONS,
)


class MemoryStore:
    """`objects` is key to (content, version). Nobody dies here by himself: see Shared."""

    def __init__(self, url="memory"):
        self.url = url
        self.objects = {}
        self._versions = itertools.count()
        self._lock = threading.Lock()

    def get(self, key, offset=0, length=None):
        if key not in self.objects:
            raise DiskNotFound("no such object", path=key)
        data = self.objects[key][0]
        end = len(data) if length is None else offset + length
        if end > len(data):
            raise TruncatedDisk("the object ends too early", path=key, offset=len(data))
        return data[offset:end]

    def read_into(self, key, offset, target):
        target[:] = self.get(key, offset, target.nbytes)

    def put(self, key, data, *, if_absent=False):
        with self._lock:
            if if_absent and key in self.objects:
                return False
            self.objects[key] = (bytes(data), str(next(self._versions)))
            return True

    def replace(self, key, old, data):
        with self._lock:
            if key not in self.objects or self.objects[key][0] != old:
                return False
            self.objects[key] = (bytes(data), str(next(self._versions)))
            return True

    def upload(self):
        return MemoryUpload(self)

    def begin_session(self):
        return MemorySession(self)

    def list(self, prefix):
        assert not prefix or prefix.endswith("/")
        return iter(
            [
                Stored(key, len(data), version)
                for key, (data, version) in list(self.objects.items())
                if key.startswith(prefix)
            ]
        )

    def size(self, key):
        return len(self.objects[key][0]) if key in self.objects else None

    def delete(self, key):
        self.objects.pop(key, None)

    def foreign(self, known):
        return min({key.partition("/")[0] for key in self.objects} - known, default=None)

    def remove(self):
        pass

    def sessions(self):
        return tuple(stored.key for stored in self.list(SESSIONS))

    def sweep(self):
        pass


class MemoryUpload:
    def __init__(self, store):
        self._store, self._data = store, bytearray()

    def write(self, data):
        self._data += data

    def commit(self, key):
        return self._store.put(key, self._data, if_absent=True)

    def abort(self):
        self._data = bytearray()


class MemorySession:
    def __init__(self, store):
        self._store, self.key = store, f"{SESSIONS}{os.urandom(16).hex()}"
        store.put(self.key, b"")

    def is_alive(self):
        return self._store.size(self.key) is not None

    def end(self):
        self._store.delete(self.key)
