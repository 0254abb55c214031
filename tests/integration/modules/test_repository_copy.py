# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_repository: copy_to. Restore points in a second repository, between all kinds of stores."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)

SCRIPT = Path(__file__).parents[3] / "docs" / "restore.py"
HERE, THERE = "correct horse battery staple", "incorrect donkey"


@pytest.fixture(
    params=[
        ("directory", "object store", "aes-256-gcm"),
        ("object store", "directory", "aes-256-gcm"),
        ("directory", "directory", "none"),
    ],
    ids=["up", "down", "to-plain"],
)
def pair(request, tmp_path, modules):
    """A repository, and how to copy to a second one."""

    def place(kind, name):
        base = request.getfixturevalue("s3_url") if kind == "object store" else str(tmp_path)
        return f"{base}/{name}"

    here, there, encryption = request.param
    source = {"url": place(here, "one"), "passphrase": HERE}
    target = {"url": place(there, "two")}
    if encryption != "none":
        target["passphrase"] = THERE
    modules.vmdk_repository(**source)
    modules.vmdk_repository(**target, encryption=encryption)
    return source, target


@pytest.fixture
def disk(make_disk):
    return make_disk()


def back_up(modules, disk, source, name):
    return modules.vmdk_backup(
        path=disk, name=name, repository=source["url"], passphrase=source["passphrase"]
    )["restore_point"]


def reach(target):
    return {"repository": target["url"], "passphrase": target.get("passphrase")}


def change(disk):
    command = ["qemu-io", "-f", "vmdk", "-c", "write -P 0x5a 20m 64k", str(disk)]
    subprocess.run(command, check=True, capture_output=True)


def test_points_arrive_once_and_restore(modules, pair, disk, tmp_path, content_by_qemu):
    source, target = pair
    points, contents = [], []
    for name in ("monday", "tuesday"):
        points.append(back_up(modules, disk, source, name))
        contents.append(content_by_qemu(disk))
        change(disk)
    foretold = modules.run("vmdk_repository", check_mode=True, **source, copy_to=target)
    assert foretold["changed"]
    assert list(open_store(target["url"]).list("backups/")) == []
    done = modules.vmdk_repository(**source, copy_to=target)
    assert done["copied"] == foretold["copied"]
    assert [point["id"] for point in done["copied"]] == [point["id"] for point in points]
    assert done["diff"]["after"]["copied"] == [f"web01@{point['id']}" for point in points]
    again = modules.vmdk_repository(**source, copy_to=target)
    assert not again["changed"] and again["copied"] == []
    there = modules.vmdk_backup_info(**reach(target))["restore_points"]
    for point, copy in zip(points, there, strict=True):
        for member in ("id", "name", "created", "source", "size"):
            assert copy[member] == point[member]
    for point, content in zip(points, contents, strict=True):
        dest = tmp_path / f"{point['name']}.vmdk"
        modules.vmdk_restore(restore_point=point["id"], dest=dest, **reach(target))
        assert content_by_qemu(dest) == content


def test_a_choice_of_points(modules, pair, disk):
    source, target = pair
    for name in ("monday", "tuesday"):
        back_up(modules, disk, source, name)
        change(disk)
    chosen = {"copy_to": target, "copy_points": ["web01@latest"]}
    assert [p["name"] for p in modules.vmdk_repository(**source, **chosen)["copied"]] == ["tuesday"]
    chosen = {"copy_to": target, "copy_sources": ["web01"]}
    assert [p["name"] for p in modules.vmdk_repository(**source, **chosen)["copied"]] == ["monday"]


def test_a_copy_while_a_backup_runs(modules, pair, disk, tmp_path, make_disk):
    source, target = pair
    back_up(modules, disk, source, "monday")
    other = make_disk("db01.vmdk", seed=2)
    running = threading.Thread(target=back_up, args=(modules, other, source, "meanwhile"))
    running.start()
    into = threading.Thread(
        target=modules.vmdk_backup, kwargs={"path": other, "name": "direct", **reach(target)}
    )
    into.start()
    modules.vmdk_repository(**source, copy_to=target)
    running.join()
    into.join()
    modules.vmdk_repository(**source, copy_to=target)
    there = modules.vmdk_backup_info(**reach(target))
    assert sorted(p["name"] for p in there["restore_points"]) == ["direct", "meanwhile", "monday"]
    assert there["problems"] == []
    for point in ("web01@monday", "db01@meanwhile", "db01@direct"):
        dest = tmp_path / f"{point}.img"
        modules.vmdk_restore(restore_point=point, dest=dest, verify=True, **reach(target))


def test_a_copy_that_is_killed_goes_on(modules, pair, tmp_path, kill_after):
    source, target = pair
    image = tmp_path / "big.img"
    image.write_bytes(hashlib.shake_128(b"big").digest(96 << 20))
    point = back_up(modules, image, source, "big")
    for seconds in (0.8, 1.2, 1.6):
        kill_after(seconds, "vmdk_repository", **source, copy_to=target)
    modules.vmdk_repository(**source, copy_to=target)
    there = modules.vmdk_backup_info(**reach(target))
    assert [p["id"] for p in there["restore_points"]] == [point["id"]] and not there["problems"]
    modules.vmdk_restore(restore_point="big@big", dest=tmp_path / "back.img", **reach(target))
    assert (tmp_path / "back.img").read_bytes() == image.read_bytes()


def test_the_copy_restores_with_the_script(modules, tmp_path, disk, digest_of_file):
    source = {"url": str(tmp_path / "one"), "passphrase": HERE}
    key_file = tmp_path / "there.key"
    key_file.write_bytes(os.urandom(40))
    key_file.chmod(0o400)
    target = {"url": str(tmp_path / "two"), "key_file": str(key_file)}
    modules.vmdk_repository(**source)
    modules.vmdk_repository(**target, master_key_of=source)
    back_up(modules, disk, source, "n")
    modules.vmdk_repository(**source, copy_to=target)
    environment = {"PATH": os.environ["PATH"], "VDISK_KEY_FILE": str(key_file)}
    out = str(tmp_path / "out.img")
    command = [sys.executable, "-I", str(SCRIPT), target["url"], "n", "disk0", out]
    subprocess.run(command, env=environment, check=True)
    raw = str(tmp_path / "raw.img")
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(disk), raw], check=True)
    assert digest_of_file(out) == digest_of_file(raw)


def test_a_master_key_cannot_be_changed_later(modules, tmp_path):
    one = {"url": str(tmp_path / "one"), "passphrase": HERE}
    two = {"url": str(tmp_path / "two"), "passphrase": THERE}
    modules.vmdk_repository(**one)
    modules.vmdk_repository(**two, master_key_of=one)
    assert not modules.vmdk_repository(**two, master_key_of=one)["changed"]
    three = {"url": str(tmp_path / "three"), "passphrase": THERE}
    modules.vmdk_repository(**three)
    failed = modules.fail("vmdk_repository", **three, master_key_of=one)
    assert "another master key" in failed["msg"]


def test_a_damaged_point_fails_the_task_after_the_others_were_copied(modules, tmp_path, make_disk):
    one = {"url": str(tmp_path / "one"), "passphrase": HERE}
    two = {"url": str(tmp_path / "two"), "passphrase": THERE}
    for there in (one, two):
        modules.vmdk_repository(**there)
    back_up(modules, make_disk(), one, "bad")
    (pack, *_others) = sorted(
        (tmp_path / "one/packs").glob("*/*"), key=lambda path: -path.stat().st_size
    )
    content = bytearray(pack.read_bytes())
    content[1000] ^= 1
    pack.write_bytes(content)
    good = make_disk("db01.vmdk", seed=2)
    back_up(modules, good, one, "good")
    failed = modules.fail("vmdk_repository", **one, copy_to=two)
    assert "1 of 2 restore points could not be copied" in failed["msg"]
    assert "web01@" in failed["msg"] and pack.name in failed["msg"]
    there = modules.vmdk_backup_info(**reach(two))["restore_points"]
    assert [point["name"] for point in there] == ["good"]


def test_points_without_a_place_for_them_are_refused(modules, tmp_path):
    for option in ("copy_points", "copy_sources"):
        arguments = {"url": str(tmp_path / "one"), "passphrase": HERE, option: ["web01"]}
        assert "need copy_to" in modules.fail("vmdk_repository", **arguments)["msg"]
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"copy_to": {"url": "{}/none"}}, "no backup repository"),
        ({"copy_to": {"url": "{}/two", "passphrase": "wrong"}}, "opens none"),
        ({"copy_to": {"url": "{}/one"}}, "to itself"),
        ({"copy_to": {"url": "{}/small"}}, "same chunk_size"),
        ({"copy_to": {"url": "{}/two"}, "copy_points": ["web01@x"]}, "no restore point answers"),
        ({"copy_to": {"url": "{}/two"}, "copy_sources": ["x"]}, "no restore points of 'x'"),
    ],
    ids=["missing", "wrong-key", "itself", "chunk-size", "point", "source"],
)
def test_what_cannot_be_copied_is_told(modules, tmp_path, options, text):
    for name, more in (("one", {}), ("two", {}), ("small", {"chunk_size": "256KiB"})):
        modules.vmdk_repository(url=str(tmp_path / name), passphrase=HERE, **more)
    to = options["copy_to"]
    options = {**options, "copy_to": {**to, "url": to["url"].format(tmp_path)}}
    one = {"url": str(tmp_path / "one"), "passphrase": HERE}
    for check_mode in (True, False):
        failed = modules.fail("vmdk_repository", check_mode=check_mode, **one, **options)
        assert text in failed["msg"]
