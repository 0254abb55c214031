# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal of its own for a program, read by an emulator that is not ours."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte


class Terminal:
    """Runs a command; `screen` is what somebody in front of it sees."""

    def __init__(self, command, columns, lines, environment):
        self.master, slave = pty.openpty()
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self._resize(columns, lines)
        self.before = termios.tcgetattr(slave)
        # its controlling terminal, or Ctrl-C would reach nobody
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
        )
        os.close(slave)
        self.raw = b""

    def _resize(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self.screen.resize(lines, columns)
        self._resize(columns, lines)

    @property
    def text(self):
        return "\n".join(self.screen.display)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds=0.2):
        """False when the program has ended and all was read."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.raw += data
        self.stream.feed(data)
        return bool(data)

    def until(self, condition, seconds=300):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.text
            assert self.read(), self.text

    def end(self):
        """Read to the end; the exit code."""
        while self.read():
            pass
        return self.process.wait(timeout=60)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)
        os.close(self.master)
