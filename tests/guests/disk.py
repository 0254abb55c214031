# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder as a raw disk that boots: GPT, extlinux in /boot, and the root in a logical volume.

This machine may have no device-mapper: LVM's tools write its metadata, and the file system is made
where they say that the volume lies.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import typing as t

MIB = 1 << 20
BOOT_START, BOOT_SIZE = 1 * MIB, 96 * MIB
GROUP_START = BOOT_START + BOOT_SIZE
ROOT_SIZE = 640 * MIB
SIZE = GROUP_START + ROOT_SIZE + 16 * MIB
TABLE = f"""label: gpt
start={BOOT_START // 512}, size={BOOT_SIZE // 512}, type=linux, name=boot, attrs=LegacyBIOSBootable
start={GROUP_START // 512}, type=E6D6D379-F507-44C2-A23C-238F2A3DF928, name=lvm
"""
# where Debian's package syslinux-common has it
FIRST_SECTOR = pathlib.Path("/usr/lib/EXTLINUX/gptmbr.bin")
MENU = """SERIAL 0
DEFAULT linux
PROMPT 0
LABEL linux
  LINUX /vmlinuz-{version}
  INITRD /initrd.img-{version}
  APPEND root=/dev/vg0/root rw console=ttyS0 quiet loglevel=3 systemd.show_status=0 mitigations=off
"""
_QUIET = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "LC_ALL": "C.UTF-8"}
_QUIET["PATH"] += ":/usr/sbin:/sbin"


def assemble(work: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
    """The raw disk with the files of `root`, whose /boot becomes a partition."""
    raw = work / "disk.raw"
    with open(raw, "wb") as stream:
        stream.truncate(SIZE)
    _run("sfdisk", "--quiet", raw, text=TABLE)
    with open(raw, "r+b") as stream:
        stream.write(FIRST_SECTOR.read_bytes()[:440])
    boot = work / "boot"
    shutil.move(root / "boot", boot)
    (root / "boot").mkdir()
    _make_boot(raw, boot, work / "mnt")
    start = _logical_volume(raw)
    _make_file_system("root", raw, f"{ROOT_SIZE >> 10}k", "-d", root, "-E", f"offset={start}")
    return raw


def _make_file_system(label: str, *words: str | pathlib.Path) -> None:
    # extlinux understands no 64-bit block numbers
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O", "^64bit", "-L", label, *words)


def _logical_volume(raw: pathlib.Path) -> int:
    """Makes vg0/root; where on the disk it begins."""
    with _loop(raw, GROUP_START, SIZE - GROUP_START - 1 * MIB) as device:
        config = f'devices{{filter=["a|^{device}$|","r|.*|"] use_devicesfile=0}}'
        lvm = ["--driverloaded", "n", "--config", config]
        _run("pvcreate", *lvm, device)
        _run("vgcreate", *lvm, "vg0", device)
        inactive = ["-an", "-Zn", "-Wn", "--name", "root", "--size", f"{ROOT_SIZE >> 20}M"]
        _run("lvcreate", *lvm, *inactive, "vg0")
        shown = ["--noheadings", "--nosuffix", "--units", "b", "-o", "pe_start"]
        return GROUP_START + int(_run("pvs", *lvm, *shown, device))


def _make_boot(raw: pathlib.Path, files: pathlib.Path, point: pathlib.Path) -> None:
    """The kernel copies the files: extlinux cannot read all that `mke2fs -d` makes."""
    (kernel,) = files.glob("vmlinuz-*")
    menu = MENU.format(version=kernel.name.partition("-")[2])
    point.mkdir()
    with _loop(raw, BOOT_START, BOOT_SIZE) as device:
        _make_file_system("boot", device)
        _run("mount", "-t", "ext4", device, point)
        try:
            shutil.copytree(files, point, dirs_exist_ok=True)
            (point / "extlinux").mkdir()
            (point / "extlinux/extlinux.conf").write_text(menu, encoding="utf-8")
            _run("extlinux", "--install", point / "extlinux")
        finally:
            _run("umount", point)


@contextlib.contextmanager
def _loop(raw: pathlib.Path, start: int, size: int) -> t.Iterator[str]:
    window = ["--offset", str(start), "--sizelimit", str(size)]
    device = _run("losetup", "--find", "--show", *window, raw).strip()
    try:
        yield device
    finally:
        _run("losetup", "--detach", device)


def _run(*command: str | pathlib.Path, text: str | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, check=False, input=text, capture_output=True, text=True, env=_QUIET
    )
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout
