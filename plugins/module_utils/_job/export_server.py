# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The process that serves a disk over NBD until it is stopped."""

from __future__ import annotations

import contextlib
import signal
import threading
import typing as t

from .._guest.detached import STOP, Detached
from .._guest.fuse import Report, say
from .._transport.datastore import DatastoreDevice
from .._transport.nbd.offer import Offer
from .._transport.nbd.server import Server, listen
from .._transport.nbd.tls import server_context

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from .._device.device import BlockDevice
    from .._transport.nbd.address import Address
    from .export_state import ExportFolder, Journal


class ExportServer(Detached):
    """Opens the disk itself: locks belong to the process that has it."""

    title = b"vdisk-export"

    def __init__(
        self,
        open_device: Callable[[], BlockDevice],
        address: Address,
        journal: Journal,
        folder: ExportFolder,
    ) -> None:
        super().__init__(folder.path)
        self._open_device = open_device
        self._address = address
        self._journal = journal
        self._state = folder

    def work(self) -> None:
        """Serve until told to stop."""
        report = Report()
        # First: the threads of a disk inherit it, such as one that keeps a session alive.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        with contextlib.ExitStack() as undo:
            context = server_tls(self._journal)
            listener = undo.enter_context(listen(self._address))
            if self._address.socket is not None:
                self._state.claim_socket(self._address.socket)
                undo.callback(self._state.remove_socket)
            device = undo.enter_context(contextlib.closing(self._open_device()))
            offer = Offer(
                self._journal.name, device, self._journal.read_only, report.note, tls=context
            )
            server = Server(offer, listener)
            threading.Thread(target=self._stop_when_told, args=(server,), daemon=True).start()
            self.tell_ready()
            server.run()
            self._state.remove_socket()
            self.close(device, report, read_only=self._journal.read_only)
            if isinstance(device, DatastoreDevice):
                device.session.close()

    def _stop_when_told(self, server: Server) -> None:
        say(f"told to stop by signal {signal.sigwait(STOP)}")
        server.stop()


def server_tls(journal: Journal) -> ssl.SSLContext | None:
    """Raises DiskNotFound, InvalidRequest for certificates that cannot be used."""
    if journal.tls_certificates is None:
        return None
    return server_context(journal.tls_certificates, verify_clients=journal.tls_verify_clients)
