# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU itself, as a witness that a disk boots."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

QEMU = "qemu-system-x86_64"


def serial(path: pathlib.Path, interface: str = "virtio", timeout: float = 180) -> str:
    """What the guest says on its first serial port until it powers off. The disk is not written."""
    drive = f"file={path},format=vmdk,if={interface},snapshot=on"
    command = [
        QEMU,
        "-accel",
        "tcg,thread=multi",
        "-smp",
        "2",
        "-m",
        "512",
        "-nic",
        "none",
        "-no-reboot",
    ]
    command += ["-display", "none", "-serial", "stdio", "-drive", drive]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=True
    )
    return done.stdout.decode(errors="replace")


def missing() -> str:
    """Why nothing can be booted here; empty where it can."""
    return "" if shutil.which(QEMU) else f"not installed: {QEMU}"
