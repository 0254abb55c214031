# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk with redo logs, what becomes of it between backups, and what it must hold."""

from __future__ import annotations

import os
import random
import shutil
import time

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.backup_disk import (
    BackupRequest,
    plan_backup,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import create_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import (
    create_child,
    revert_child,
)

SIZE, GRAIN, CHUNK = 4 << 20, 64 << 10, 256 << 10
TICK = 20_000_000  # of the clock of any file system here, generously; the real rule takes 2 s


def settle():
    time.sleep(1.5 * TICK / 1e9)


class Chain:
    """A flat disk and redo logs over it, and beside it a model of bytearrays."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.random = random.Random(1)
        self.links = [os.path.join(self.folder, "web01.vmdk")]
        self.model = [bytearray(self.random.randbytes(SIZE))]
        self.owned = [set(range(SIZE // GRAIN))]
        create_disk(self.links[0], DiskSpec(size=SIZE, disk_type="monolithicFlat"))
        with open_disk(self.links[0], writable=True) as disk:
            disk.write(0, self.model[0])
        self.repository = os.path.join(self.folder, "repository")
        create_repository(self.repository, passphrase=None, encryption="none", chunk_size=CHUNK)
        self.access = Access(repository=self.repository)
        self.made = 0
        self.points = []
        self.methods = []

    @property
    def content(self):
        content = bytearray(SIZE)
        for grain in range(SIZE // GRAIN):
            layer = max(n for n, owned in enumerate(self.owned) if grain in owned)
            place = slice(grain * GRAIN, (grain + 1) * GRAIN)
            content[place] = self.model[layer][place]
        return content

    def write(self, offset, length, zeros):
        length = min(length, SIZE - offset)
        data = bytes(length) if zeros else self.random.randbytes(length)
        whole = self.content
        whole[offset : offset + length] = data
        touched = range(offset // GRAIN, -(-(offset + length) // GRAIN))
        with open_disk(self.links[-1], writable=True) as disk:
            disk.write(offset, data)
        for grain in touched:
            place = slice(grain * GRAIN, (grain + 1) * GRAIN)
            self.model[-1][place] = whole[place]
            self.owned[-1].add(grain)

    def snapshot(self, *_more):
        if len(self.links) > 4:
            return
        self.made += 1
        self.links.append(os.path.join(self.folder, f"web01-{self.made:06d}.vmdk"))
        create_child(self.links[-2], self.links[-1])
        self.model.append(bytearray(SIZE))
        self.owned.append(set())

    def commit(self, *_more):
        if len(self.links) > 1:
            content = self.content
            commit_child(self.links.pop())
            owned = self.owned.pop()
            self.owned[-1] |= owned
            self.model.pop()
            self.model[-1][:] = content

    def revert(self, *_more):
        if len(self.links) > 1:
            revert_child(self.links[-1])
            self.owned[-1] = set()

    def drop(self, *_more):
        """Somebody deletes the newest redo log: the disk is its parent again."""
        if len(self.links) > 1:
            os.unlink(self.links.pop())
            self.model.pop()
            self.owned.pop()

    def poke(self, offset, length, _zeros):
        """Behind the children, which cannot know; and the times are set back."""
        flat = self.links[0].replace(".vmdk", "-flat.vmdk")
        before = os.stat(flat)
        data = self.random.randbytes(min(length, SIZE - offset))
        with open(flat, "r+b") as stream:
            stream.seek(offset)
            stream.write(data)
        self.model[0][offset : offset + len(data)] = data
        os.utime(flat, ns=(before.st_atime_ns, before.st_mtime_ns))

    def touch(self, *_more):
        os.utime(self.links[-1], ns=(10**18, 10**18))

    def wait(self, *_more):
        settle()

    def replace(self, *_more):
        """The same file again, by a copy: another inode, the same time."""
        path = self.links[-1]
        shutil.copy2(path, path + ".copy")
        os.replace(path + ".copy", path)

    def back_up(self, offset, *_more):
        path = self.links[-1] if offset % 3 else self.links[0]  # or the base of it all
        expected = self.content if path == self.links[-1] else bytes(self.model[0])
        result = plan_backup(
            BackupRequest(path=path, access=self.access, name=f"n{len(self.points)}", self_check=0)
        ).run(False)
        self.methods.append(result["restore_point"]["disks"][0]["method"])
        self.points.append((result["restore_point"]["id"], bytes(expected)))

    def check(self):
        repository = self.access.open_repository()
        for point_id, expected in self.points:
            with repository.open_disk(repository.find(point_id).point) as device:
                assert read(device, 0, device.size) == expected, (point_id, self.methods)
