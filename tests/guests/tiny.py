# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest guest that really boots: syslinux, a kernel of Debian, busybox, and a script.

A raw disk of 40 MiB, made in less than a second without root by syslinux, mtools and mke2fs, none
of which is ours. Its first partition (FAT) is what it is booted from. Its second (ext4) has the
script that runs then: so a guest that speaks has found its disk, and read it rightly.
"""

from __future__ import annotations

import io
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zlib

from ansible_collections.vdisk.lifecycle.tests.guests import kernel

MIB = 1 << 20
SIZE = 40 * MIB
BOOT_START, BOOT_SIZE = 1 * MIB, 24 * MIB
ROOT_START, ROOT_SIZE = BOOT_START + BOOT_SIZE, 14 * MIB
TOOLS = ("sfdisk", "mformat", "mcopy", "mmd", "syslinux", "mke2fs", "busybox")
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
# Each with those that it needs before it; what a kernel has built in is not there, and not missed.
DRIVERS = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "vmxnet3", "sd_mod")
DRIVERS += ("vmw_pvscsi", "ata_piix", "ahci", "nvme")
MBR = "/usr/lib/syslinux/mbr/{}.bin"
EFI_FILES = {
    "BOOTX64.EFI": "/usr/lib/SYSLINUX.EFI/efi64/syslinux.efi",
    "ldlinux.e64": "/usr/lib/syslinux/modules/efi64/ldlinux.e64",
}
TABLES = {
    "bios": "label: dos\nstart={}, size={}, type=c, bootable\nstart={}, size={}, type=83\n",
    "efi": "label: gpt\nstart={}, size={}, type=uefi\nstart={}, size={}, type=linux\n",
}
MENU = """SERIAL 0
DEFAULT linux
PROMPT 0
LABEL linux
  LINUX /vmlinuz
  INITRD /initrd.gz
  APPEND console=tty0 console=ttyS0 quiet mitigations=off {arguments}
"""
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /bin /dev /proc /sys /root
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev; mount -t proc none /proc; mount -t sysfs none /sys
for driver in /drivers/*.ko; do insmod $driver; done
echo 6 > /proc/sys/kernel/printk
tries=0
while [ $tries -lt 50 ] && [ ! -e /root/script ]; do
  for disk in /dev/vda2 /dev/sda2 /dev/nvme0n1p2; do
    [ -e $disk ] && mount -t ext4 $disk /root 2>/dev/null && break
  done
  [ -e /root/script ] || sleep 0.1
  tries=$((tries + 1))
done
. /root/script
sleep 1000
"""
PROMPT = "echo; echo 'tiny login: '\n"


def missing(firmware: str = "bios") -> str:
    """Why the guest cannot be built here; empty where it can."""
    absent = [tool for tool in TOOLS if shutil.which(tool, path=_PATH) is None]
    if kernel.find() is None:
        absent.append("a kernel with its modules")
    if firmware == "efi":
        absent += [path for path in EFI_FILES.values() if not os.path.exists(path)]
    return f"not installed: {', '.join(absent)}" if absent else ""


def build(
    path: pathlib.Path,
    *,
    firmware: str = "bios",
    script: str = PROMPT,
    arguments: str = "",
    programs: tuple[str, ...] = (),
) -> pathlib.Path:
    """A disk that boots, and does what the script says, which runs in /, with the disk in /root.

    arguments: for the kernel. programs: of this machine, with their libraries, for chroot.
    """
    folder = path.with_name(f"{path.name}.parts")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "root").mkdir(parents=True)
    (folder / "root" / "script").write_text(script, encoding="utf-8")
    (folder / "syslinux.cfg").write_text(MENU.format(arguments=arguments), encoding="utf-8")
    for program in programs:
        _add_program(folder / "root", program)
    _table(path, firmware)
    _boot_partition(path, folder, firmware)
    options = f"-E offset={ROOT_START}"
    _run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-O", "^has_journal", "-d", folder / "root",
         *options.split(), path, f"{ROOT_SIZE >> 10}k")  # fmt: skip
    shutil.rmtree(folder)
    return path


def _add_program(root: pathlib.Path, program: str) -> None:
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in [program, *re.findall(r"(/\S+) \(0x", linked)]:
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _table(path: pathlib.Path, firmware: str) -> None:
    with open(path, "wb") as stream:
        stream.truncate(SIZE)
    places = (BOOT_START, BOOT_SIZE, ROOT_START, ROOT_SIZE)
    _run("sfdisk", "-q", path, text=TABLES[firmware].format(*(place // 512 for place in places)))
    if firmware == "bios":
        with open(path, "r+b") as stream:
            stream.write(pathlib.Path(MBR.format("mbr")).read_bytes())


def _boot_partition(path: pathlib.Path, folder: pathlib.Path, firmware: str) -> None:
    image, modules = _found_kernel()
    place = f"{path}@@{BOOT_START}"
    _run("mformat", "-i", place, "-T", BOOT_SIZE // 512, "-h", 16, "-s", 32, "-H",
         BOOT_START // 512, "::")  # fmt: skip
    (folder / "initrd.gz").write_bytes(initrd(modules))
    _run("mcopy", "-i", place, image, "::/vmlinuz")
    _run("mcopy", "-i", place, folder / "initrd.gz", folder / "syslinux.cfg", "::/")
    if firmware == "bios":
        _run("syslinux", "--offset", BOOT_START, "--install", path)
        return
    _run("mmd", "-i", place, "::/EFI", "::/EFI/BOOT")
    for name, source in EFI_FILES.items():
        _run("mcopy", "-i", place, source, f"::/EFI/BOOT/{name}")


def initrd(modules: pathlib.Path) -> bytes:
    """Busybox, the drivers in their order, and what starts the script."""
    archive = io.BytesIO()
    for name in ("bin", "dev", "drivers", "proc", "root", "sys"):
        _pack(archive, name, b"", 0o040755)
    busybox = shutil.which("busybox", path=_PATH)
    _pack(archive, "bin/busybox", pathlib.Path(str(busybox)).read_bytes(), 0o100755)
    _pack(archive, "init", INIT.encode(), 0o100755)
    for number, driver in enumerate(_drivers(modules)):
        content = driver.read_bytes()
        if driver.suffix == ".xz":
            content = lzma.decompress(content)
        _pack(archive, f"drivers/{number:02}.ko", content, 0o100644)
    _pack(archive, "TRAILER!!!", b"", 0)
    deflate = zlib.compressobj(1, wbits=31)  # gzip
    return deflate.compress(archive.getvalue()) + deflate.flush()


def _pack(archive: io.BytesIO, name: str, content: bytes, mode: int) -> None:
    """One entry of a cpio archive: kernel, Documentation/driver-api/early-userspace."""
    fields = [archive.tell() + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    archive.write(b"070701" + "".join(f"{field:08x}" for field in fields).encode())
    archive.write(name.encode() + b"\0")
    archive.write(bytes(-archive.tell() % 4) + content)
    archive.write(bytes(-archive.tell() % 4))


def _drivers(modules: pathlib.Path) -> list[pathlib.Path]:
    found: dict[str, None] = {}
    lines = (modules / "modules.dep").read_text(encoding="utf-8").splitlines()
    needs = {line.split(":")[0]: line.split(":")[1].split() for line in lines}
    for name in DRIVERS:
        for path, before in needs.items():
            if re.fullmatch(rf".*/{name}\.ko(\.xz)?", path):
                found.update(dict.fromkeys([*reversed(before), path]))
    return [modules / path for path in found]


def _found_kernel() -> tuple[pathlib.Path, pathlib.Path]:
    found = kernel.find()
    assert found is not None
    return found


def _run(*argv: object, text: str | None = None) -> None:
    program = shutil.which(str(argv[0]), path=_PATH)
    command = [str(program), *map(str, argv[1:])]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


if __name__ == "__main__":
    if missing():
        sys.exit(missing())
    build(pathlib.Path(sys.argv[1]))
