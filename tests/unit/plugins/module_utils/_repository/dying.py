# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory store whose process dies in the middle of its work."""

from __future__ import annotations

import os

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)


class Cut(Exception):
    """The process dies here: no clean-up runs after it in the store."""


class DyingStore(LocalStore):
    """Dies at the n-th operation from arm() on: before it, or right after it took effect.

    Without `reads`, only operations that change something count.
    """

    def __init__(self, path, reads=True):
        super().__init__(path)
        self.reads = reads
        self.left, self.after, self.dead = 10_000, False, False

    def arm(self, operation, after):
        self.left, self.after = operation, after

    def step(self, operation):
        if self.dead:
            raise Cut
        self.left -= 1
        if self.left > 0:
            return operation()
        if self.after:
            operation()
        self.dead = True
        raise Cut

    def read(self, operation):
        return self.step(operation) if self.reads else operation()

    def get(self, *arguments, **options):
        return self.read(lambda: LocalStore.get(self, *arguments, **options))

    def list(self, prefix):
        return iter(self.read(lambda: list(LocalStore.list(self, prefix))))

    def put(self, *arguments, **options):
        return self.step(lambda: LocalStore.put(self, *arguments, **options))

    def delete(self, key):
        return self.step(lambda: LocalStore.delete(self, key))

    def sweep(self):
        return self.step(lambda: LocalStore.sweep(self))

    def begin_session(self):
        return self.begun(lambda: LocalStore.begin_session(self), leave)

    def upload(self):
        return self.begun(
            lambda: DyingUpload(self, LocalStore.upload(self)), lambda upload: upload.abort()
        )

    def begun(self, begin, let_go):
        """What is begun in the last moment keeps its files, but the locks of the dead are gone."""
        made = []
        try:
            self.step(lambda: made.append(begin()))
        except Cut:
            for one in made:
                let_go(one)
            raise
        return made[0]


def leave(session):
    session._heartbeat.stop()
    os.close(session._fd)


class DyingUpload:
    def __init__(self, store, upload):
        self.store, self.upload = store, upload

    def write(self, data):
        return self.store.step(lambda: self.upload.write(data))

    def commit(self, key):
        return self.store.step(lambda: self.upload.commit(key))

    def abort(self):
        if not self.store.dead:  # the dead clean nothing up; their locks go with them
            self.upload.abort()
        elif self.upload._fd >= 0:
            os.close(self.upload._fd)
            self.upload._fd = -1
