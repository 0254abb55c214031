# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine reaches nobody, is nobody, and is gone with the one that started it."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskInUse
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot import process, trial
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access

HANGS = b"\xfa\xf4\xeb\xfd"  # cli; hlt; jump back
MODULE = "ansible_collections.vdisk.lifecycle.plugins.modules.vmdk_boot"


@pytest.fixture
def started(machines):
    """Runs the module in a process of its own, until its machine runs. Both end with the test."""
    begun = []

    def start(path):
        options = {"path": str(path), "accelerator": "tcg", "timeout": 300}
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": options})
        before, found = set(machines()), []
        child = subprocess.Popen([sys.executable, "-m", MODULE, arguments], stdout=subprocess.PIPE)
        begun.append(child)
        # Kept at once: while a process becomes another program, it is called nothing.
        wait_for(lambda: found.extend({*machines()} - before) or found or child.poll() is not None)
        assert child.poll() is None
        return child, found[0]

    yield start
    for child in begun:
        child.kill()
        child.communicate()
    wait_for(lambda: not machines())


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_module_leaves_no_machine(number, sector, started, machines):
    child, machine = started(sector(code=HANGS))
    child.send_signal(number)
    child.communicate(timeout=30)
    wait_for(lambda: machine not in machines())
    assert machine not in machines()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_machine_is_nobody_and_holds_no_disk_by_name(sector, started):
    path = sector(code=HANGS)
    machine = started(path)[1]
    status = pathlib.Path(f"/proc/{machine}/status").read_text(encoding="utf-8")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(facts["Uid"].split()) == {"65534"}
    assert (facts["NoNewPrivs"], facts["CapEff"].strip("0")) == ("1", "")
    held = [os.readlink(link) for link in pathlib.Path(f"/proc/{machine}/fd").iterdir()]
    assert not [each for each in held if str(path) in each]


def test_the_disk_is_locked_while_it_runs(sector, started):
    path = sector(code=HANGS)
    started(path)
    with pytest.raises(DiskInUse):
        Access().open(str(path), writable=True)


def test_an_efi_guest_with_an_agent_reaches_nobody_on_the_isolated_network(guest, boot):
    """One boot for much that costs one."""
    agent = shutil.which("qemu-ga", path="/usr/sbin:/usr/bin")
    if agent is None:
        pytest.skip("needs qemu-guest-agent")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        port = listener.getsockname()[1]
        script = (
            "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0\n"
            f"echo hello | nc -w 2 10.0.2.2 {port} && echo REACHED || echo fenced\n"
            "mkdir -p /root/dev /root/run /root/var/run; mount --bind /dev /root/dev\n"
            f"chroot /root {agent} -m virtio-serial -p $(ls /dev/vport*) &\n"
        )
        disk = guest(script, firmware="efi", programs=(agent,))
        found = boot(disk, network="isolated", wait_for=("agent",))
        assert (found["up"], found["how"], found["firmware"]) == (True, "agent", "efi"), found
        assert found["guest"]["os"]["machine"] == "x86_64"
        addresses = str(found["guest"]["interfaces"])
        assert "10.0.2.15" in addresses
        assert "fenced" in found["console_tail"]
        with pytest.raises(TimeoutError):
            listener.accept()


def test_the_trial_of_kvm_runs_the_sector():
    trial.kvm_problem.cache_clear()
    assert trial.kvm_problem("x86_64", "tcg", 20) is None


def test_the_trial_of_kvm_ends_where_a_guest_hangs(monkeypatch):
    monkeypatch.setattr(trial, "_SECTOR", HANGS)
    began = time.monotonic()
    assert trial.kvm_problem("x86_64", "tcg", 0.7) == "a guest does not run with it"
    assert time.monotonic() - began < 20


def test_a_program_whose_starter_is_dead_already_does_not_begin(tmp_path):
    """Between the fork and the leash lies a moment: whoever is an orphan by then gives up."""
    mark = tmp_path / "begun"
    argv = process._leash()
    done = subprocess.run([*argv[:-1], "1", "touch", mark], check=False)
    assert done.returncode != 0
    assert not mark.exists()


def test_a_program_may_do_no_more_than_run():
    with process.running("sh", ["-c", "id -u; sleep 30"], [], package="sh") as program:
        end = time.monotonic() + 20
        while not program.said() and time.monotonic() < end:
            time.sleep(0.02)
        if os.geteuid() == 0:
            assert program.said() == "65534"
        program.kill()
        assert program.ended
