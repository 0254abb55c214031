# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Debian package in several versions, and a repository that offers them to apt."""

from __future__ import annotations

import hashlib
import pathlib
import subprocess

UNIT = """[Unit]
Description=Says a greeting on the console

[Service]
Type=oneshot
StandardOutput=tty
TTYPath=/dev/ttyS0
ExecStart=/usr/bin/greeting

[Install]
WantedBy=multi-user.target
"""
PROGRAM = """#!/bin/sh
echo "GREETING {version}: $(cat /etc/greeting.conf 2>/dev/null)"
"""


def greeting(folder: pathlib.Path, version: str, postinst: str = "") -> pathlib.Path:
    """A package whose service, once enabled, says its version and its configuration at boot."""
    tree = folder / f"greeting-{version}"
    _write(tree / "usr/bin/greeting", PROGRAM.format(version=version), 0o755)
    _write(tree / "lib/systemd/system/greeting.service", UNIT)
    lines = ["Package: greeting", f"Version: {version}", "Architecture: all"]
    lines += ["Maintainer: nobody <nobody@invalid>", "Description: says a greeting", ""]
    _write(tree / "DEBIAN/control", "\n".join(lines))
    if postinst:
        _write(tree / "DEBIAN/postinst", postinst, 0o755)
    made = folder / f"greeting_{version}_all.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(made)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return made


def repository(folder: pathlib.Path) -> pathlib.Path:
    """The index of the packages in a folder: `deb [trusted=yes] file:<folder> ./`."""
    entries = []
    for path in sorted(folder.glob("*.deb")):
        fields = subprocess.run(
            ["dpkg-deb", "--field", str(path)], check=True, capture_output=True, text=True
        ).stdout
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        entries.append(f"{fields}Filename: ./{path.name}\nSize: {size}\nSHA256: {digest}\n")
    (folder / "Packages").write_text("\n".join(entries), encoding="utf-8")
    return folder


def _write(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
