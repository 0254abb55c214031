# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Starting a machine, and watching whether it comes up."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import socket
import tempfile
import time
import typing as t

from ..._device.errors import DiskError
from .agent import Agent
from .console import DEFAULT_MARKER, Console
from .lines import Silence
from .machine import PICTURE_SET, Files
from .picture import Picture, from_ppm
from .process import running
from .qmp import Qmp, QmpRefused

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .lines import Message
    from .machine import Machine
    from .process import Program

_RESTARTS = 5  # as many as an installation that finishes itself may need
_AGENT_SECONDS = 5  # for an agent whose answers prove nothing any more
_LAST_WORDS_SECONDS = 0.3
_PAUSE = 0.5
_CHUNK = 64 << 10


@dataclasses.dataclass(frozen=True)
class Proof:
    """What shows that it is up: the first of those that are waited for."""

    wait_for: Sequence[str] = ("marker", "agent")
    marker: str = DEFAULT_MARKER
    seconds: float = 300


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How it went. problem: in words, where it did not come up."""

    how: str | None
    problem: str | None
    seconds: float
    console_tail: list[str]
    picture: Picture | None
    guest: dict[str, t.Any] | None


def run(machine: Machine, disks: Sequence[socket.socket], proof: Proof) -> Outcome:
    """Start it with these connections to NBD servers as its disks; it is gone when this returns.

    From the main thread. Raises MissingTool, and DiskError where QEMU does not start.
    """
    with contextlib.ExitStack() as undo:
        ours, theirs = _channels(undo, 3)
        picture, handle = _picture_file(undo)
        files = Files(tuple(disk.fileno() for disk in disks), (*theirs,), handle)
        program = undo.enter_context(
            running(
                machine.program,
                machine.arguments(files),
                [*files.disks, *theirs, handle],
                package=machine.package,
            )
        )
        for fd in theirs:  # so that we see when QEMU has closed its ends
            os.close(fd)
        for disk in disks:
            disk.close()
        return _Watch(program, ours, picture, proof).run()


def _channels(undo: contextlib.ExitStack, count: int) -> tuple[list[socket.socket], list[int]]:
    """Our ends, and the numbers of those that QEMU gets."""
    pairs = [socket.socketpair() for _number in range(count)]
    for ours, _theirs in pairs:
        undo.enter_context(ours)
    return [ours for ours, _theirs in pairs], [theirs.detach() for _ours, theirs in pairs]


def _picture_file(undo: contextlib.ExitStack) -> tuple[t.BinaryIO, int]:
    """A file without a name, and one more handle of it that can only write, as QEMU wants it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 # closed by undo
    undo.callback(file.close)
    handle = os.open(f"/proc/self/fd/{file.fileno()}", os.O_WRONLY)
    undo.callback(os.close, handle)
    return file, handle


class _Watch:
    """One machine from its start to its end."""

    def __init__(
        self, program: Program, ours: list[socket.socket], picture: t.BinaryIO, proof: Proof
    ) -> None:
        control, self._serial, port = ours
        self._serial.setblocking(False)
        self.program, self.picture, self.proof = program, picture, proof
        self.qmp, self.agent, self.console = Qmp(control), Agent(port), Console(proof.marker)
        self.began = time.monotonic()
        self.restarts = 0
        self.problem: str | None = None
        self.has_agent = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> Outcome:
        with self._selector:
            self._greet()
            for source, take in (
                (self._serial, self._hear_console),
                (self.qmp, self._hear_qemu),
                (self.agent, self._hear_agent),
            ):
                self._selector.register(source, selectors.EVENT_READ, take)
            how = self._until_decided()
            seconds = time.monotonic() - self.began
            self._linger(how)
        picture = self._photograph()
        with contextlib.suppress(Silence, QmpRefused):
            self.qmp.execute("quit", 1)
            self.program.wait(1)
        return Outcome(
            how=how,
            problem=None if how else self.problem,
            seconds=round(seconds, 2),
            console_tail=self.console.tail(),
            picture=picture,
            guest=self.agent.facts if self.agent.has_answered else None,
        )

    def _greet(self) -> None:
        try:
            self.qmp.greet()
        except (Silence, QmpRefused) as error:
            said = self.program.said() if self.program.ended else str(error)
            raise DiskError("QEMU does not start", found=said or "no message") from None

    def _until_decided(self) -> str | None:
        """The proof; None with self.problem set."""
        while True:
            self._hear(_PAUSE)
            if self.console.is_marked and "marker" in self.proof.wait_for:
                return "marker"
            if self.agent.has_answered and "agent" in self.proof.wait_for:
                return "agent"
            self.problem = self.problem or self.console.failure or self._ended()
            if self.problem is not None:
                return None

    def _ended(self) -> str | None:
        if self.program.ended and not self._hear(0):
            return f"QEMU ended: {self.program.said() or 'no message'}"
        if time.monotonic() - self.began > self.proof.seconds:
            return f"it did not come up within {self.proof.seconds:g} seconds"
        return None

    def _hear(self, seconds: float) -> bool:
        """Take what comes, and wait so long for it; whether there was anything."""
        heard = False
        for key, _mask in self._selector.select(seconds):
            try:
                heard = key.data() or heard
            except (Silence, OSError):
                self._selector.unregister(key.fileobj)
        return heard

    def _hear_console(self) -> bool:
        chunk = self._serial.recv(_CHUNK)
        if not chunk:
            raise Silence("the console is closed")
        self.console.feed(chunk)
        return True

    def _hear_agent(self) -> bool:
        self.agent.hear()
        return True

    def _hear_qemu(self) -> bool:
        events = self.qmp.events()
        for event in events:
            self._note(event)
        return bool(events)

    def _note(self, event: Message) -> None:
        name, data = event["event"], event.get("data", {})
        if name == "VSERPORT_CHANGE" and data.get("open") and not self.agent.has_answered:
            self.has_agent = True
            with contextlib.suppress(Silence):
                self.agent.greet()
        elif name == "RESET" and data.get("guest"):
            self.restarts += 1
            if self.restarts > _RESTARTS:
                self.problem = "it starts again and again"
        elif name == "GUEST_PANICKED":
            self.problem = "its kernel panics"
        elif name == "SHUTDOWN" and data.get("guest"):
            self.problem = "it switched itself off"
        elif name == "STOP":
            self.problem = "QEMU cannot go on with it"

    def _linger(self, how: str | None) -> None:
        """For the last lines, and for what an agent that is there can tell of it."""
        patient = how is not None and self.has_agent
        end = time.monotonic() + (_AGENT_SECONDS if patient else _LAST_WORDS_SECONDS)
        while time.monotonic() < end and not (patient and self.agent.is_done):
            if not self._hear(max(0, end - time.monotonic())) and self.program.ended:
                return

    def _photograph(self) -> Picture | None:
        try:
            self.qmp.execute("screendump", filename=f"/dev/fdset/{PICTURE_SET}")
        except (Silence, QmpRefused):
            return None
        self.picture.seek(0)
        return from_ppm(self.picture.read())
