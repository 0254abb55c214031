# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the Debian guest."""

from __future__ import annotations

import os
import pathlib
import subprocess

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
INCLUDE = (
    "e2fsprogs,initramfs-tools,linux-image-cloud-amd64,lvm2,mount,python3-apt,python3-minimal,"
    "systemd-sysv,zstd"
)
LEFT_OUT = ("doc", "info", "locale", "man", "lintian", "bug")
# What the kernel needs to find its root: on virtio, IDE, SATA and SCSI.
MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_scsi", "ata_piix", "ahci", "sd_mod"),
    *("dm_mod", "ext4"),
)
MARKER = "VDISK-BOOT-OK"
REPORT = f"""#!/bin/sh
exec > /dev/ttyS0
dpkg-query --show --showformat 'PACKAGE ${{Package}} ${{Version}}\\n' greeting
echo "ROOT $(findmnt -no SOURCE /) BOOT $(findmnt -no FSTYPE /boot)"
echo {MARKER}
sync
exec systemctl poweroff --force --force
"""
REPORT_UNIT = """[Unit]
Description=Says on the console that the system is up, and ends it
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/report-boot

[Install]
WantedBy=multi-user.target
"""
FILES = {
    "etc/fstab": "/dev/vg0/root / ext4 errors=remount-ro 0 1\nLABEL=boot /boot ext4 defaults 0 2\n",
    "etc/hostname": "guest\n",
    "etc/hosts": "127.0.0.1 localhost guest\n",
    "etc/apt/sources.list": "",
    "etc/apt/apt.conf.d/00lean": 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n',
    "etc/systemd/system/report-boot.service": REPORT_UNIT,
}
# Nothing the guest is for, and it boots in emulation.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "lvm2-monitor.service",
    "systemd-journal-flush.service",
    "systemd-random-seed.service",
    "systemd-timesyncd.service",
    "systemd-update-utmp.service",
)


def bootstrap(root: pathlib.Path, package: pathlib.Path) -> None:
    """Debian's own installer fills a folder; `package` is installed besides."""
    options = ["--mode=root", "--variant=apt", "--format=directory", "--quiet"]
    options += [f"--include={INCLUDE}", '--aptopt=Acquire::Languages "none"']
    options += ["--dpkgopt=force-unsafe-io"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
    command = ["mmdebstrap", *options, SUITE, str(root), MIRROR]
    # One initial RAM disk, at the end, instead of one for each package that asks for it.
    without = {**os.environ, "INITRD": "No", "LC_ALL": "C.UTF-8"}
    subprocess.run(command, check=True, env=without)
    for name, text in FILES.items():
        (root / name).write_text(text, encoding="utf-8")
    _script(root / "usr/local/sbin/report-boot")
    (root / package.name).write_bytes(package.read_bytes())
    _inside(root, "dpkg", "--install", f"/{package.name}")
    (root / package.name).unlink()
    _services(root)
    _kernel(root)


def _script(path: pathlib.Path) -> None:
    path.write_text(REPORT, encoding="utf-8")
    path.chmod(0o755)


def _services(root: pathlib.Path) -> None:
    units = root / "etc/systemd/system"
    for name in MASKED:
        (units / name).symlink_to("/dev/null")
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "report-boot.service").symlink_to("/etc/systemd/system/report-boot.service")


def _kernel(root: pathlib.Path) -> None:
    """Its initial RAM disk, made once everything that belongs into it is there."""
    settings = root / "etc/initramfs-tools"
    (settings / "modules").write_text("\n".join(MODULES) + "\n", encoding="utf-8")
    (settings / "conf.d/guest").write_text("MODULES=list\nCOMPRESS=zstd\nFSTYPE=ext4\n", "utf-8")
    (version,) = (path.name for path in (root / "lib/modules").iterdir())
    _inside(root, "update-initramfs", "-c", "-k", version)
    for link in (root / "vmlinuz", root / "initrd.img"):
        link.unlink(missing_ok=True)


def _inside(root: pathlib.Path, *command: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(
        ["chroot", str(root), *command], check=True, env=environment, stdout=subprocess.DEVNULL
    )
