# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of a folder as others see them, and as they saw them before."""

from __future__ import annotations

import json
import subprocess


class Seen:
    """What qemu-img sees, and what it saw before."""

    def __init__(self, room):
        self.room = room
        names = {"web01", "flat", "base", "base-000001", "found", "guest"}
        disks = [path.name for path in room.glob("*.vmdk") if path.stem in names]
        self.before = {name: self.content(name) for name in disks}

    def content(self, name):
        """As qemu-img reads it."""
        raw = self.room.parent / "by-qemu.raw"
        qemu = ["qemu-img", "convert", "-O", "raw", str(self.room / name), str(raw)]
        subprocess.run(qemu, check=True, capture_output=True)
        try:
            return raw.read_bytes()
        finally:
            raw.unlink()

    def info(self, name):
        command = ["qemu-img", "info", "--output=json", str(self.room / name)]
        found = json.loads(subprocess.check_output(command))
        return found["virtual-size"], found["format-specific"]["data"]["create-type"]

    def descriptor(self, name):
        text = (self.room / name).read_bytes()[:20_000]
        start = text.index(b"# Disk DescriptorFile")
        return text[start:].split(b"\0", 1)[0].decode()

    def du(self, name):
        return (self.room / name).stat().st_blocks * 512
