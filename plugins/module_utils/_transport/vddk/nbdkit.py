# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One run of nbdkit: started, connected to, and gone again whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import typing as t

from ..._device.errors import DiskError, ServerUnreachable, TransportUnavailable
from ..nbd.address import Address
from ..nbd.client import NbdDevice
from ..nbd.pool import Patience
from .argv import CONFIGURATION, Place
from .library import ENVIRONMENT

if t.TYPE_CHECKING:
    from collections.abc import Callable

_START_SECONDS = 60
# Connecting to vCenter and opening the disk may take minutes, and so may asking for holes.
# An nbdkit that died is not started again by anybody.
_PATIENCE = Patience(answer=900.0, reconnect=1.0, connect=300.0)
_STOP_SECONDS = 30
_PREFIX = "vdisk-vddk-"
_TOLD = 600  # characters of nbdkit's log that a message can bear


class Nbdkit:
    """The process, in a private folder. It dies with the thread that starts it (PR_SET_PDEATHSIG,
    prctl(2)), so that one has to live on."""

    def __init__(self, make_argv: Callable[[Place], list[str]], password: str) -> None:
        """Raises TransportUnavailable."""
        sweep()
        self._folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        self.socket = os.path.join(self._folder, "nbd.sock")
        self._log = os.path.join(self._folder, "log")
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = self._start(make_argv, password)
            self._await_socket()
        except BaseException:
            self.stop()
            raise

    def _start(
        self, make_argv: Callable[[Place], list[str]], password: str
    ) -> subprocess.Popen[bytes]:
        configuration = os.path.join(self._folder, "vddk.conf")
        with open(configuration, "w", encoding="ascii") as stream:
            stream.write(CONFIGURATION)
        reading, writing = os.pipe()
        try:
            os.write(writing, password.encode() + b"\n")  # less than a pipe holds
            os.close(writing)
            argv = make_argv(Place(self.socket, configuration, reading))
            with open(self._log, "wb") as log:
                return subprocess.Popen(  # pylint: disable=ansible-bad-function # no Ansible down here
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env=ENVIRONMENT,
                    pass_fds=(reading,),
                )
        except OSError as error:
            raise TransportUnavailable(f"nbdkit cannot be started: {error.strerror}") from error
        finally:
            os.close(reading)

    def _await_socket(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while not _answers(self.socket):
            if self._process is None or self._process.poll() is not None:
                raise self.failure("nbdkit ended at once")
            if time.monotonic() > end:
                raise self.failure(f"nbdkit did not begin to serve in {_START_SECONDS} seconds")
            time.sleep(0.02)

    def failure(self, what: str) -> TransportUnavailable:
        """With what it said last."""
        with open(self._log, encoding="utf-8", errors="replace") as stream:
            said = " ".join(stream.read()[-4 * _TOLD :].split())[-_TOLD:]
        return TransportUnavailable(what, found=said or "nothing in its log")

    def stop(self, *, has_client: bool = False) -> None:
        """has_client: who has just left, upon which it closes the disk and ends by itself."""
        process, self._process = self._process, None
        if process is not None and not (has_client and _has_ended(process)):
            process.terminate()
            if not _has_ended(process):
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class VddkDevice(NbdDevice):
    """A disk through nbdkit. Owns the process."""

    def __init__(self, nbdkit: Nbdkit, name: str) -> None:
        """Raises TransportUnavailable with what VDDK says."""
        self._nbdkit = nbdkit
        try:
            super().__init__(Address(name, "", socket=nbdkit.socket), patience=_PATIENCE)
        except DiskError as error:
            failure = nbdkit.failure(f"VDDK cannot open {name}")
            nbdkit.stop()
            raise failure from error

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Raises TransportUnavailable with what nbdkit said last, DiskIOError."""
        try:
            super().readinto(offset, buffer)
        except ServerUnreachable as error:
            raise self._nbdkit.failure(f"nbdkit ended while {self.name} was read") from error

    def close(self) -> None:
        """What it was asked for comes to an end first."""
        super().close()
        self._nbdkit.stop(has_client=True)


def _answers(path: str) -> bool:
    """Between making a socket and listening, nbdkit refuses."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """In time."""
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def sweep() -> None:
    """Remove the folders of jobs that were killed; their nbdkit ended with them."""
    root = tempfile.gettempdir()
    for name in os.listdir(root):
        pid = name.removeprefix(_PREFIX).partition("-")[0]
        if not name.startswith(_PREFIX) or os.path.exists(f"/proc/{pid}"):
            continue
        with contextlib.suppress(OSError):
            path = os.path.join(root, name)
            if os.lstat(path).st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
