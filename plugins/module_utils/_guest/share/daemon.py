# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The process that serves disks as files of an NFS datastore. See detached.py."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import typing as t

from ..detached import STOP, Detached, leave_word
from ..fuse import say
from ..mount import unmount
from ..mountinfo import mounted_at
from . import ganesha
from .folder import serve

if t.TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping

    from ..._device.device import BlockDevice
    from ..fuse import Report
    from .ganesha import Listen

POINT = "mnt"  # of the FUSE file system, in the state folder
SERVER = "ganesha"  # what the NFS server keeps, in the state folder
_LOOK_SECONDS = 0.5


class Share(Detached):
    """`open_disks` runs in the process: name of the file → device, which is closed at the end."""

    title = b"vdisk-share"

    def __init__(
        self,
        state: str,
        folder: str,
        open_disks: Callable[[], Mapping[str, BlockDevice]],
        listen: Listen,
    ) -> None:
        super().__init__(state)
        self._shared, self._open_disks, self._listen = folder, open_disks, listen
        self._point = os.path.join(state, POINT)
        self._answering, self._stopped = threading.Event(), threading.Event()
        self._failure: BaseException | None = None

    def work(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)  # libfuse's threads inherit it
        self._unmount()  # what a killed one left
        for name in (self._point, os.path.join(self.folder, SERVER)):
            os.makedirs(name, mode=0o700, exist_ok=True)
        disks = self._open_disks()
        threading.Thread(target=self._stop_when_told, daemon=True).start()
        network = threading.Thread(target=self._serve_network)
        network.start()
        reports: list[Report] = []
        try:
            reports = serve(self._shared, disks, self._point, self._answering.set)
        finally:
            self._stopped.set()
            self._answering.set()
            network.join()
            self._close_all(disks, reports)
        if self._failure is not None:
            raise self._failure

    def _serve_network(self) -> None:
        """In one thread from its start to its end: the server dies with it."""
        self._answering.wait()
        try:
            if not self._stopped.is_set():
                state = os.path.join(self.folder, SERVER)
                self._watch(ganesha.start(self._point, state, self._listen))
        except BaseException as error:
            self._failure = error
        finally:
            self._unmount()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        self.tell_ready()
        while not self._stopped.wait(_LOOK_SECONDS):
            if process.poll() is not None:
                say(f"NFS-Ganesha ended with code {process.returncode}, so this share ends")
                return
        ganesha.stop(process)

    def _stop_when_told(self) -> None:
        say(f"told to stop by signal {signal.sigwait(STOP)}")
        self._stopped.set()

    def _unmount(self) -> None:
        """Then serve() returns."""
        while mounted_at(self._point):
            try:
                unmount(self._point)
            except Exception as error:
                say(str(error))
                time.sleep(_LOOK_SECONDS)

    def _close_all(self, disks: Mapping[str, BlockDevice], reports: list[Report]) -> None:
        """Make all durable, and leave word how it went."""
        failures = [report.first_failure for report in reports if report.first_failure]
        for name, device in disks.items():
            try:
                with contextlib.closing(device):
                    device.flush()
            except Exception as error:
                failures.append(f"close {name}: {error}")
        failed = sum(report.failed_writes for report in reports)
        leave_word(self.folder, failed, failures[0] if failures else None)
