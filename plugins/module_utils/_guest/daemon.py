# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The process that serves volumes as FUSE files while they are mounted. See detached.py."""

from __future__ import annotations

import os
import signal
import threading
import time
import typing as t

from . import detached, fuse, loop
from .detached import STOP, Detached
from .fuse import say
from .mount import unmount
from .mountinfo import mounted_at, mounts

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._device.device import BlockDevice
    from .processes import Process

FUSE = "fuse"


class Opened(t.NamedTuple):
    """What is served: `volumes` lie on `disks`. `facts` (JSON) are for whoever mounts them."""

    disks: Sequence[BlockDevice]
    volumes: Sequence[BlockDevice]
    facts: list[dict[str, t.Any]]

    def flush(self) -> None:
        for device in (*self.volumes, *self.disks):
            device.flush()

    def close(self) -> None:
        for device in (*self.volumes, *self.disks):
            device.close()


def file_of(folder: str, number: int) -> str:
    """Where the daemon of a state folder shows the volume with that number."""
    return os.path.join(folder, FUSE, fuse.file_name(number))


def shown_files(folder: str) -> str:
    """What the paths of all its files begin with."""
    return os.path.join(folder, FUSE) + os.sep


def start(
    open_volumes: Callable[[], Opened],
    folder: str,
    *,
    read_only: bool,
    born: Callable[[Process], None],
    leash: int | None = None,
) -> list[dict[str, t.Any]]:
    """Serve volumes at file_of(folder, …); their facts. `born` hears of the process before it does
    anything.

    open_volumes runs in the daemon and must open all it needs itself. leash: the reading end of a
    pipe; when nobody holds the other end any more, the daemon unmounts everything and ends.
    Raises what open_volumes raises, MissingLibrary, MountFailed.
    """
    fuse.load_library()
    server = _Daemon(open_volumes, folder, read_only, leash)
    return t.cast("list[dict[str, t.Any]]", detached.start(server, born))


class _Daemon(Detached):
    title = b"vdisk-mount"

    def __init__(
        self,
        open_volumes: Callable[[], Opened],
        folder: str,
        read_only: bool,
        leash: int | None,
    ) -> None:
        super().__init__(folder)
        self.open_volumes = open_volumes
        self.point = os.path.join(folder, FUSE)
        self.read_only = read_only
        self.leash = leash
        self.is_open = False

    @property
    def pipes(self) -> list[int]:
        """To the process that mounts."""
        return [self.report] if self.leash is None else [self.report, self.leash]

    def work(self) -> None:
        """Serve until somebody unmounts it, or tells us to."""
        # Threads inherit it: libfuse's, and those that a disk brings.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        threading.Thread(target=self._stop_when_told, daemon=True).start()
        if self.leash is not None:
            threading.Thread(target=self._stop_with_owner, args=(self.leash,), daemon=True).start()
        opened = self.open_volumes()
        self.is_open = True
        try:
            report = fuse.serve(
                opened.volumes,
                self.point,
                read_only=self.read_only,
                ready=lambda: self.tell_ready(opened.facts),
            )
        except BaseException:
            opened.close()
            raise
        self.close(opened, report, read_only=self.read_only)

    def _stop_with_owner(self, leash: int) -> None:
        """The owner never writes: this returns when it is gone, however it went."""
        os.read(leash, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _stop_when_told(self) -> None:
        """Unmount everything that stands on these volumes; go on serving until that is done.

        Ending at once would lose what the kernel has not written yet.
        """
        say(f"told to stop by signal {signal.sigwait(STOP)}")
        if not self.is_open:
            os._exit(1)
        said, pause = "", 0.02
        while True:  # ends with the process, once the FUSE files are unmounted
            try:
                self._unmount_all()
            except Exception as error:
                if str(error) != said:
                    said = str(error)
                    say(said)
            time.sleep(pause)
            pause = min(2 * pause, 2)

    def _unmount_all(self) -> None:
        files = shown_files(self.folder)
        devices = loop.below(files)
        sources = {device.path for device in devices}
        for mount in reversed(mounts()):  # those inside of others were made later
            if mount.source in sources or mount.source.startswith(files):
                unmount(mount.point)
        for device in devices:
            loop.wait_free(device, 1)
        if mounted_at(self.point) and not loop.below(files):
            unmount(self.point)
