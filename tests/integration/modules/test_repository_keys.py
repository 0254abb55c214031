# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_repository: keys. Who opens a repository, in a directory and in an object store."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import WrongKey
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
FIRST, SECOND, THIRD = "correct horse battery staple", "incorrect donkey", "stapled battery"
# Does what a rotation does, and is killed by its own hand right before or after the n-th write.
ROTATION = """
import os, signal, sys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import *
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import *
keys.COST = (16, 8, 1)
url, opens, new, number, after = *sys.argv[1:4], int(sys.argv[4]), sys.argv[5] == "after"
store = open_store(url)
left = [number]
def dying(operation):
    def step(*arguments, **options):
        left[0] -= 1
        if left[0] == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = operation(*arguments, **options)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return step
repository = Repository.from_store(store, opens)
store.put, store.delete = dying(store.put), dying(store.delete)
repository.change_keys(repository.plan_keys([keys.NewKey("a", new)], purge=True))
"""


@pytest.fixture(params=["directory", "object store"])
def url(request, tmp_path):
    if request.param == "object store":
        return request.getfixturevalue("s3_url")
    return str(tmp_path / "repository")


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "nightly.key"
    path.write_bytes(os.urandom(64))
    path.chmod(0o600)
    return path


def named(result):
    return [key["name"] for key in result["repository"]["key_list"]]


def listed(passphrase, name="a"):
    return {"name": name, "passphrase": passphrase}


def test_keys_are_there_and_stay(modules, url, key_file):
    wanted = {
        "url": url,
        "keys": [listed(FIRST, "people"), {"name": "nightly", "key_file": str(key_file)}],
    }
    foretold = modules.run("vmdk_repository", check_mode=True, **wanted)
    assert foretold["changed"] and not list(open_store(url).list(""))
    made = modules.vmdk_repository(**wanted)
    assert made["changed"] and sorted(named(made)) == ["nightly", "people"]
    again = modules.vmdk_repository(**wanted)
    assert not again["changed"] and again["repository"] == made["repository"]
    for options in ({"passphrase": FIRST}, {"key_file": key_file}):
        assert modules.vmdk_backup_info(repository=url, **options)["restore_points"] == []


def test_a_key_is_replaced_and_others_are_purged(modules, url, key_file):
    modules.vmdk_repository(url=url, passphrase=FIRST, keys=[listed(SECOND)])
    rotate = {"url": url, "passphrase": FIRST, "keys": [listed(THIRD)]}
    before = sorted(stored.key for stored in open_store(url).list(""))
    foretold = modules.run("vmdk_repository", check_mode=True, **rotate)
    assert foretold["changed"]
    assert sorted(stored.key for stored in open_store(url).list("")) == before
    done = modules.vmdk_repository(**rotate)
    assert done["changed"] and sorted(filter(None, named(done))) == ["a"]
    assert [key["name"] for key in done["diff"]["before"]["key_list"]].count("a") == 1
    modules.fail("vmdk_backup_info", repository=url, passphrase=SECOND)
    purged = modules.vmdk_repository(**rotate, purge_keys=True)
    assert purged["changed"] and named(purged) == ["a"]
    assert "opens" in modules.fail("vmdk_backup_info", repository=url, passphrase=FIRST)["msg"]
    del rotate["passphrase"]
    assert not modules.vmdk_repository(**rotate, purge_keys=True)["changed"]


def data_of(url):
    store = open_store(url)
    return {stored for prefix in ("packs/", "backups/") for stored in store.list(prefix)}


def test_a_rotation_rewrites_no_data(modules, make_disk, url, tmp_path, content_by_qemu):
    there = {"repository": url, "passphrase": FIRST}
    modules.vmdk_repository(url=url, passphrase=FIRST)
    disk = make_disk()
    modules.vmdk_backup(path=disk, name="n", **there)
    before = data_of(url)
    modules.vmdk_repository(url=url, passphrase=FIRST, keys=[listed(SECOND)], purge_keys=True)
    assert data_of(url) == before
    dest = tmp_path / "back.vmdk"
    modules.vmdk_restore(restore_point="web01@n", dest=dest, repository=url, passphrase=SECOND)
    assert content_by_qemu(dest) == content_by_qemu(disk)


@pytest.mark.parametrize("after", ["before", "after"])
def test_a_rotation_killed_at_any_write_leaves_a_key_that_opens(url, after, monkeypatch):
    monkeypatch.setattr(keys, "COST", (16, 8, 1))
    create_repository(url, encryption="aes-256-gcm", new_keys=[keys.NewKey("a", FIRST)])
    opens, new = FIRST, SECOND
    for number in range(1, 10):
        command = [sys.executable, "-c", ROTATION, url, opens, new, str(number), after]
        killed = subprocess.run(command, check=False).returncode == -signal.SIGKILL
        # Whatever was done: it opens with one of them, and the same again brings it to its end.
        repository = Repository.open(url, (opens, new))
        repository.change_keys(repository.plan_keys([keys.NewKey("a", new)], purge=True))
        assert [key["name"] for key in Repository.open(url, new).list_keys()] == ["a"]
        with pytest.raises(WrongKey):
            Repository.open(url, opens)
        opens, new = new, opens
        if not killed:
            break
    assert not killed and number > 4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"purge_keys": True}, "would remove every key"),
        ({"keys": [listed("one of them"), listed("the other")]}, "two keys have the name 'a'"),
        ({"keys": [{"name": "a"}]}, "one of the following is required: passphrase, key_file"),
        ({"keys": [{"name": "a", "key_file": "/no/such"}]}, "/no/such"),
        ({"key_file": "/no/such"}, "/no/such"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_done(modules, tmp_path, options, text):
    url = str(tmp_path / "repository")
    modules.vmdk_repository(url=url, passphrase=FIRST)
    before = sorted(Path(url).rglob("*"))
    assert text in modules.fail("vmdk_repository", url=url, passphrase=FIRST, **options)["msg"]
    assert sorted(Path(url).rglob("*")) == before


def test_a_key_file_that_others_can_read_is_refused(modules, tmp_path, key_file):
    key_file.chmod(0o644)
    failed = modules.fail("vmdk_repository", url=str(tmp_path / "r"), key_file=key_file)
    assert "mode 0644" in failed["msg"] and not (tmp_path / "r").exists()


def test_the_environment_can_name_a_key_file(modules, make_disk, tmp_path, key_file, monkeypatch):
    url = str(tmp_path / "repository")
    monkeypatch.setenv("VDISK_KEY_FILE", str(key_file))
    modules.vmdk_repository(url=url)
    modules.vmdk_backup(path=make_disk(), repository=url, name="n")
    monkeypatch.delenv("VDISK_KEY_FILE")
    assert "neither" in modules.fail("vmdk_backup_info", repository=url)["msg"]
    info = modules.vmdk_info(path="web01@n", repository=url, key_file=key_file)
    assert info["disk"]["size"] == 40 << 20


def test_a_wrong_key_is_told_at_once(modules, tmp_path):
    url = str(tmp_path / "repository")
    modules.vmdk_repository(url=url, passphrase=FIRST)
    begin = time.monotonic()
    failed = modules.fail("vmdk_backup_info", repository=url, passphrase="wrong")
    assert failed["error"]["kind"] == "WrongKey"
    assert time.monotonic() - begin < 60  # one guess at one key, however busy the machine is


def from_environment(name):
    """As from a vault: the secret does not stand in the playbook, which Ansible shows."""
    return f"{{{{ lookup('ansible.builtin.env', '{name}') }}}}"


def test_secrets_are_in_no_output_and_no_argument_list(tmp_path, key_file, monkeypatch):
    url, second = str(tmp_path / "repository"), str(tmp_path / "second")
    secrets = {f"SECRET_{name}": f"{name} word of mouth" for name in ("A", "B", "C", "WRONG")}
    for name, secret in secrets.items():
        monkeypatch.setenv(name, secret)
    first, other, third, wrong = map(from_environment, secrets)
    provide = {
        "vdisk.lifecycle.vmdk_repository": {
            "url": url,
            "passphrase": first,
            "keys": [listed(other), {"name": "nightly", "key_file": str(key_file)}],
            "purge_keys": True,
        },
        "diff": True,
        "register": "result",
    }
    say = {"ansible.builtin.debug": {"var": "result"}}
    there = {"vdisk.lifecycle.vmdk_repository": {"url": second, "passphrase": third}}
    copy = {
        "vdisk.lifecycle.vmdk_repository": {
            "url": url,
            "passphrase": other,
            "copy_to": {"url": second, "passphrase": third},
        }
    }
    fails = {
        "vdisk.lifecycle.vmdk_repository": {
            "url": url,
            "passphrase": wrong,
            "master_key_of": {"url": second, "passphrase": third},
        },
        "ignore_errors": True,
    }
    book = tmp_path / "play.yml"
    tasks = [provide, provide, say, there, copy, fails]
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    seen = tmp_path / "seen"
    watcher = subprocess.Popen(
        f"while sleep 0.02; do cat /proc/[0-9]*/cmdline; done > {seen} 2>/dev/null", shell=True
    )
    monkeypatch.setenv("ANSIBLE_LOG_PATH", str(tmp_path / "log"))
    try:
        done = subprocess.run(
            [str(ANSIBLE), "-vvv", str(book)], capture_output=True, check=True, timeout=300
        )
    finally:
        watcher.kill()
    told = done.stdout + done.stderr + (tmp_path / "log").read_bytes() + seen.read_bytes()
    assert b"nightly" in told and b"opens none" in told
    for secret in (*(text.encode() for text in secrets.values()), key_file.read_bytes()):
        for form in (secret, secret.hex().encode(), base64.b64encode(secret)):
            at = told.find(form)
            assert at < 0, told[max(0, at - 200) : at + 200]
