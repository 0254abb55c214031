# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of ours in a thread, which can be made to fail."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.address import (
    parse_uri,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.client import (
    NbdDevice,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.offer import Offer
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.pool import Patience
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.server import (
    Server,
    listen,
)


class Volatile(MemoryDevice):
    """Like a server with a cache: what was not flushed is gone after a crash."""

    writes_in_parallel = True

    def __init__(self, content):
        super().__init__(content)
        self.durable = bytes(self.content)
        self._dead = set()  # threads; a process that has crashed does not finish its requests

    def write(self, offset, data):
        self._check()
        super().write(offset, data)

    def zero(self, offset, length):
        self._check()
        super().zero(offset, length)

    def flush(self):
        self._check()
        self.durable = bytes(self.content)

    def crash(self, threads):
        self._dead.update(threads)
        self.content[:] = self.durable

    def _check(self):
        if threading.current_thread() in self._dead:
            raise OSError("dead")


class Serving:
    """device: what is served. crash(): as if the process had died and was there again at once."""

    def __init__(self, device, socket, **more):
        self.device = device
        self.uri = f"nbd+unix:///disk?socket={socket}"
        self.notes = []
        more = {"read_only": False, "note": self._note, **more}
        self._offer = Offer("disk", device, **more)
        self._server = Server(self._offer, listen(parse_uri(self.uri)))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()

    def _note(self, what, error, *, write):
        self.notes.append((what, error, write))

    def open(self, *, writable=True, answer=20.0, reconnect=20.0):
        return NbdDevice(
            parse_uri(self.uri), writable=writable, patience=Patience(answer, reconnect)
        )

    def crash(self):
        with self._offer.lock.alone():
            clients = list(self._server._clients)
            for client in clients:
                client.wire.hang_up()
            if isinstance(self.device, Volatile):
                self.device.crash(clients)

    def stop(self):
        self._server.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def serving(device, **more):
    with TemporaryDirectory() as folder:
        served = Serving(device, Path(folder) / "nbd.sock", **more)
        try:
            yield served
        finally:
            served.stop()


@pytest.fixture(name="serving", scope="session")
def serving_fixture():
    return serving


@pytest.fixture(name="volatile", scope="session")
def volatile_fixture():
    return Volatile
