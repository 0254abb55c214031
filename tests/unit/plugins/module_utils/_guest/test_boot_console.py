# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a console says is understood, however it is painted, and in whatever pieces it comes."""

import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.console import (
    DEFAULT_MARKER,
    Console,
)


def heard(*chunks, marker=DEFAULT_MARKER):
    console = Console(marker)
    for chunk in chunks:
        console.feed(chunk)
    return console


@pytest.mark.parametrize(
    "text",
    [
        b"\r\nDebian GNU/Linux 12 web01 ttyS0\r\n\r\nweb01 login: ",
        b"[ \x1b[0;32mOK\x1b[0m ] Reached target \x1b[1mm.target\x1b[0m - Multi-User System.\r\n",
        b"[  OK  ] Reached target Graphical Interface.\n",
        b"Computer is booting\r\n\x1b[2JSAC>",
    ],
)
def test_what_is_up(text):
    assert heard(text).is_marked
    assert heard(*(bytes([byte]) for byte in text)).is_marked


@pytest.mark.parametrize(
    "text", [b"Last login: today on tty1\n", b"the login is locked\n", b"Booting SAC>\n"]
)
def test_what_is_not_up_yet(text):
    assert not heard(text).is_marked


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (b"[    1.2] Kernel panic - not syncing: Fatal exception\r\n", "panics"),
        (b"VFS: Unable to mount root fs on unknown-block(0,0)\n", "no root file system"),
        (b"\r\n(initramfs) ", "no root file system"),
        (b"\ndracut:/# ", "no root file system"),
        (b"error: unknown filesystem.\r\n\x1b[0mgrub rescue> ", "boot loader"),
        (b"\x1b[2J\x1b[5;1HNo bootable device.\r\n", "nothing to start"),
        (b"UEFI Interactive Shell v2.2\r\n\x1b[33mShell> ", "nothing to start"),
        (b"Missing operating system.\r\n", "boot loader is broken"),
        (b"You are in emergency mode. After logging in,\n", "emergencies"),
    ],
)
def test_what_will_not_come_up(text, meaning):
    assert meaning in heard(text).failure
    assert meaning in heard(*(bytes([byte]) for byte in text)).failure


@pytest.mark.parametrize("said", [b"\x1b]", b"\x1b[", b"Reached target ", b"\x1b[ ", b"login: "])
def test_babble_costs_no_time(said):
    began = time.monotonic()
    heard(said * ((64 << 10) // len(said))).tail()
    assert time.monotonic() - began < 20


def test_the_tail_is_short_and_plain():
    console = heard(*(b"\x1b[1mline %d\x07\x1b[0m\r\n" % number for number in range(100)))
    assert console.tail() == [f"line {number}" for number in range(60, 100)]


def test_a_guest_that_says_too_much_costs_no_memory():
    console = heard(*([b"x" * 65536] * 100), b"\nlogin: ", marker="login: ")
    assert console.is_marked
    assert len(console._kept) <= 1 << 16
    assert max(map(len, console.tail())) <= 200
