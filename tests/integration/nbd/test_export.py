# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module: what it promises about second runs, check mode, and what dies."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.client import (
    open_nbd,
)


@pytest.fixture
def there(tmp_path):
    return tmp_path / "web01.sock"


@pytest.fixture(autouse=True)
def run_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def export(modules, sample, there):
    """export(**options) → the result; stopped at the end."""
    yield lambda **more: modules.run("vmdk_export", path=sample[0], socket=there, **more)
    modules.vmdk_export(socket=there, state="stopped")


def is_alive(pid):
    return Path(f"/proc/{pid}/cmdline").exists() and "Z" not in stat_of(pid)


def kill(pid):
    """And wait until it is gone: a busy machine takes its time."""
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)


def stat_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return "Z"


def test_twice_and_away(export, modules, there, run_folder):
    first = export()
    assert first["changed"] and first["export"]["uri"] == f"nbd+unix:///?socket={there}"
    second = export()
    assert not second["changed"]
    assert second["export"] == first["export"] and second["disk"] == first["disk"]
    assert modules.vmdk_export(socket=there, state="stopped")["changed"]
    assert not is_alive(first["export"]["pid"])
    assert not there.exists() and list((run_folder / "exports").iterdir()) == []
    assert not modules.vmdk_export(socket=there, state="stopped")["changed"]


def test_check_mode_touches_nothing(export, there, modules, run_folder):
    result = export(check_mode=True)
    assert result["changed"] and result["export"]["pid"] is None
    assert not there.exists() and not run_folder.exists()
    pid = export()["export"]["pid"]
    stopped = modules.run("vmdk_export", check_mode=True, socket=there, state="stopped")
    assert stopped["changed"] and is_alive(pid)


def test_something_else_is_not_replaced(export, modules, there, sample):
    export()
    message = modules.fail("vmdk_export", path=sample[0], socket=there, read_only=False)["msg"]
    assert "something else is served there" in message and "state: stopped" in message


def test_over_tcp(modules, sample, free_port):
    done = modules.vmdk_export(path=sample[0], port=free_port, name="web01")
    assert done["export"]["uri"] == f"nbd://127.0.0.1:{free_port}/web01"
    with open_nbd(done["export"]["uri"]) as disk:
        assert read(disk, 0, disk.size) == sample[1]
    assert "warnings" not in done
    modules.vmdk_export(port=free_port, state="stopped")


def test_an_open_door_is_warned_of(modules, sample, free_port):
    done = modules.vmdk_export(path=sample[0], port=free_port, address="0.0.0.0")
    assert "everybody" in str(done["warnings"])
    modules.vmdk_export(port=free_port, address="0.0.0.0", state="stopped")


def test_a_port_that_is_taken(modules, sample):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert "in use" in modules.fail("vmdk_export", path=sample[0], port=port)["msg"]


def test_what_is_not_ours_is_never_removed(modules, sample, there):
    there.write_text("mine")
    assert "no socket" in modules.fail("vmdk_export", path=sample[0], socket=there)["msg"]
    assert there.read_text() == "mine"
    there.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(there))
        assert "not ours" in modules.fail("vmdk_export", path=sample[0], socket=there)["msg"]
    assert there.exists()


def test_a_killed_server_is_replaced(export, there):
    pid = export()["export"]["pid"]
    kill(pid)
    again = export()
    assert again["changed"] and again["export"]["pid"] != pid
    with open_nbd(again["export"]["uri"]) as disk:
        assert disk.size


def test_a_killed_server_of_a_writable_disk_is_told_of(export, modules, there):
    kill(export(read_only=False)["export"]["pid"])
    again = export(read_only=False)
    assert "check the disk" in str(again["warnings"])


def test_after_another_start_of_the_host(export, run_folder, there):
    """Process numbers mean nothing then."""
    pid = export()["export"]["pid"]
    kill(pid)
    state = next((run_folder / "exports").glob("*/state.json"))
    text = state.read_text().replace(f"\n  {pid},", f"\n  {os.getpid()},")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    state.write_text(text.replace(boot, "another"))
    assert export()["changed"]


def test_stopping_lets_the_last_request_finish(export, modules, there, sample):
    uri = export(read_only=False)["export"]["uri"]
    with open_nbd(uri, writable=True) as disk:
        disk.write(0, b"last words")
        modules.vmdk_export(socket=there, state="stopped")
        disk._unflushed.forget(1)
    assert sample[0].read_bytes().startswith(b"last words")


def test_a_writable_disk_is_locked(export, modules, sample, tmp_path):
    modules.vmdk_clone(src=sample[0], dest=tmp_path / "disk.vmdk")
    place = tmp_path / "other.sock"
    modules.vmdk_export(path=tmp_path / "disk.vmdk", socket=place, read_only=False)
    assert modules.fail("vmdk_info", path=tmp_path / "disk.vmdk")["error"]["kind"] == "DiskInUse"
    modules.vmdk_export(socket=place, state="stopped")
    modules.vmdk_info(path=tmp_path / "disk.vmdk")


def test_a_restore_point_that_is_written_to_stays_as_it_is(export, modules, sample, repository):
    made = modules.vmdk_backup(path=sample[0], **repository)["restore_point"]
    place = sample[0].parent / "point.sock"
    arguments = {"path": "sample@latest", "socket": place, **repository, "read_only": False}
    served = modules.vmdk_export(**arguments)
    assert made["id"] in served["disk"]["path"] or served["disk"]["size"] == len(sample[1])
    with open_nbd(served["export"]["uri"], writable=True) as disk:
        assert read(disk, 0, disk.size) == sample[1]
        disk.write(100_000, b"scratch")
        disk.flush()
        assert read(disk, 100_000, 7) == b"scratch"
    assert not modules.vmdk_export(**arguments)["changed"]
    modules.vmdk_export(socket=place, state="stopped")
    digest = modules.vmdk_info(path="sample@latest", digest=True, **repository)["disk"]["digest"]
    assert digest == modules.vmdk_info(path=sample[0], digest=True)["disk"]["digest"]


def test_no_secret_stays_in_sight(modules, sample, repository, run_folder, monkeypatch):
    modules.vmdk_backup(path=sample[0], **repository)
    secret = repository["passphrase"]
    monkeypatch.setenv("VDISK_PASSPHRASE", secret)
    place = sample[0].parent / "point.sock"
    pid = modules.vmdk_export(
        path="sample@latest", repository=repository["repository"], socket=place
    )["export"]["pid"]
    seen = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
    seen += [path.read_bytes() for path in run_folder.rglob("*") if path.is_file()]
    modules.vmdk_export(socket=place, state="stopped")
    assert not [text for text in seen if secret.encode() in text]


def test_the_server_does_not_hold_on_to_its_maker(export):
    """A module that waits for its output to close would hang for ever."""
    begun = time.monotonic()
    pid = export()["export"]["pid"]
    assert time.monotonic() - begun < 30
    links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [link for link in links if link.startswith("pipe:")]
