# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/mount.md prints, runs; with /srv and /mnt elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

DOCUMENT = Path(__file__).parents[3] / "docs" / "mount.md"
MIB = 1 << 20
PASSPHRASE = "correct horse battery staple"
FAST = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]


def run(*command):
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


@pytest.fixture
def srv(tmp_path, modules, monkeypatch):
    """A folder with what the document speaks of."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    srv, tree = tmp_path / "srv", tmp_path / "tree"
    for folder in ("vm", "keys"):
        (srv / folder).mkdir(parents=True)
    for folder in ("etc", "var", "@home"):
        (tree / folder).mkdir(parents=True)
    (tree / "etc/fstab").write_text("LABEL=root / ext4\n/dev/sdb /var ext4\n")
    run("mkfs.ext4", "-q", "-L", "root", "-d", tree, tmp_path / "web01.img", "8M")
    run("mkfs.ext4", "-q", "-L", "data", srv / "vm/data.img", "8M")
    modules.vmdk_clone(src=tmp_path / "web01.img", dest=srv / "vm/web01.vmdk")
    modules.vmdk_repository(url=srv / "backup", passphrase=PASSPHRASE)
    repository = {"repository": srv / "backup", "passphrase": PASSPHRASE}
    modules.vmdk_backup(path=srv / "vm/web01.vmdk", **repository)
    (srv / "keys/vault").write_text(PASSPHRASE)
    run("mkfs.ext4", "-q", srv / "vm/vault.img", "8M")
    os.truncate(srv / "vm/vault.img", 24 * MIB)
    run("cryptsetup", "reencrypt", "--encrypt", "--type", "luks2", "--reduce-device-size", "16M",
        "-q", "--key-file", srv / "keys/vault", *FAST, srv / "vm/vault.img")  # fmt: skip
    make_btrfs(srv / "vm/files.img", tmp_path / "plain")
    return srv


def make_btrfs(path, mounted):
    run("truncate", "-s", "120M", path)
    run("mkfs.btrfs", "-q", path)
    mounted.mkdir()
    run("mount", "-o", "loop", path, mounted)
    run("btrfs", "subvolume", "create", mounted / "@home")
    run("umount", mounted)


def tasks(folder):
    text = DOCUMENT.read_text(encoding="utf-8")
    text = text.replace("{{ vault_backup_passphrase }}", PASSPHRASE)
    text = re.sub(r"(?<=[ =])/(srv|mnt)/", rf"{folder}/\1/", text)
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        yield from yaml.safe_load(block)


def test_everything_in_the_document_runs(srv, tmp_path, modules):
    done = []
    for task in tasks(tmp_path):
        (module,) = (name for name in task if name.startswith("vdisk.lifecycle."))
        options = task[module]
        result = getattr(modules, module.rpartition(".")[2])(**options)
        assert result["changed"], task["name"]
        mounted = options.get("state", "mounted") == "mounted" and module.endswith("mount")
        assert not mounted or os.path.ismount(options["mount_point"]), task["name"]
        done.append(module)
    assert len(done) > 15
    assert str(tmp_path) not in Path("/proc/mounts").read_text(encoding="utf-8")


def test_every_option_is_in_the_document():
    module = DOCUMENT.parents[1] / "plugins" / "modules" / "vmdk_mount.py"
    options = re.search(r"^OPTIONS = \{(.*?)^\}", module.read_text(encoding="utf-8"), re.M | re.S)
    names = re.findall(r'^    "(\w+)":', options[1], re.M)
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []
