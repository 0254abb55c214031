# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a machine says on its serial port, and what that means."""

from __future__ import annotations

import re
import typing as t

_KEPT = 64 << 10  # bytes of the end
_OVERLAP = 4 << 10  # bytes that are looked at again, for what came in two pieces
_TAIL = 40  # lines that results show
_WIDTH = 200  # characters of a line that they show
_MOVES = re.compile(rb"\x1b\[[0-9;]*[HfJ]|\r")  # the cursor goes elsewhere: a new line for us
_ESCAPES = re.compile(
    rb"\x1b(?:\[[0-9;?=]*[ -/]*[@-~]|\][^\x07\x1b]*\x07|[()#][0-9A-Za-z]|[=>78cDEHMNOZ])"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

# Prompts of Linux, BSD and the like, targets of systemd, and Windows' console for emergencies.
DEFAULT_MARKER = (
    r"\blogin: ?$"
    r"|Reached target .{0,100}(Multi-User System|Graphical Interface)"
    r"|^SAC>"
)


class Failure(t.NamedTuple):
    """A sign that it will not come up."""

    sign: re.Pattern[str]
    meaning: str


def _failure(sign: str, meaning: str) -> Failure:
    return Failure(re.compile(sign, re.MULTILINE), meaning)


_NO_DISK = (
    "its kernel finds no root file system; perhaps it has no driver for this bus: see option bus"
)
FAILURES = (
    _failure(r"Unable to mount root fs", _NO_DISK),
    _failure(r"^\(initramfs\)", _NO_DISK),
    _failure(r"^dracut:/#", _NO_DISK),
    _failure(r"Kernel panic - not syncing", "its kernel panics"),
    _failure(r"You are in (emergency|rescue) mode", "it stops in the mode for emergencies"),
    _failure(r"^grub( rescue)?> ?$", "its boot loader does not find what it shall start"),
    _failure(r"^No bootable device", "the BIOS finds nothing to start"),
    _failure(
        r"No bootable option or device was found|^Shell> ?$",
        "the EFI firmware finds nothing to start; it looks for \\EFI\\BOOT\\BOOTX64.EFI alone",
    ),
    _failure(
        r"(Missing operating system|Operating system not found|Invalid partition table"
        r"|NTLDR is missing|BOOTMGR is missing|No DEFAULT or UI configuration directive found)",
        "its boot loader is broken",
    ),
)


class Console:
    """The end of what was said. A guest may say what it likes, for as long as it likes."""

    def __init__(self, marker: str) -> None:
        self._marker = re.compile(marker, re.MULTILINE)
        self._kept = bytearray()
        self.is_marked = False
        self.failure: str | None = None  # what the first sign of it means

    def feed(self, chunk: bytes) -> None:
        """Take in what came, and look at it."""
        self._kept += chunk
        fresh = _readable(bytes(self._kept[-len(chunk) - _OVERLAP :]))
        del self._kept[:-_KEPT]
        self.is_marked = self.is_marked or self._marker.search(fresh) is not None
        if self.failure is None:
            self.failure = next((one.meaning for one in FAILURES if one.sign.search(fresh)), None)

    def tail(self) -> list[str]:
        """The last lines."""
        lines = [line.rstrip()[:_WIDTH] for line in _readable(bytes(self._kept)).splitlines()]
        return [line for line in lines if line][-_TAIL:]


def _readable(raw: bytes) -> str:
    """Without what moves the cursor and paints."""
    plain = _ESCAPES.sub(b"", _MOVES.sub(b"\n", raw.replace(b"\r\n", b"\n")))
    return _CONTROLS.sub("", plain.decode(errors="replace"))
