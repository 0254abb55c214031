# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image tries that knows how it is entered."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from ansible.errors import AnsibleError

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.inside import init

PROGRAM = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")


@pytest.fixture
def lying_guest(make_guest):
    """lying_guest(facts): its Python says these of itself, whatever it is asked."""

    def make(facts):
        answer = json.dumps({"changed": False, "ansible_facts": facts})
        guest = make_guest(files={"usr/bin/python3": f"#!/bin/sh\ncat <<'end'\n{answer}\nend\n"})
        (guest.root / "usr/bin/python3").chmod(0o755)
        return guest

    return make


def _play(guest, tmp_path, *options, inside="echo inside"):
    host = {
        "ansible_connection": "vdisk.lifecycle.vmdk_root",
        "ansible_host": str(guest.root),
        "ansible_remote_tmp": "/tmp",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"guest": host}}}))
    tasks = [{"setup": {}}, {"raw": inside}]
    play = [{"hosts": "guest", "gather_facts": False, "tasks": tasks}]
    (tmp_path / "play.json").write_text(json.dumps(play))
    command = [PROGRAM, "-i", tmp_path / "hosts.json", tmp_path / "play.json", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_facts_of_a_guest_run_nothing_on_the_controller(lying_guest, tmp_path):
    victim = tmp_path / "victim"
    guest = lying_guest({"ansible_vmdk_privilege_exe": f"sh -c 'touch {victim}'"})
    done = _play(guest, tmp_path)
    assert not victim.exists()
    assert "ansible_vmdk_privilege_exe" in done.stdout, done.stdout + done.stderr
    assert done.returncode


def test_facts_of_an_honest_guest_are_taken(lying_guest, tmp_path):
    done = _play(lying_guest({"ansible_hostname": "web01", "vmdk_count": 1}), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_time_to_connect_is_not_the_time_of_a_command(lying_guest, tmp_path):
    """Ansible gives every connection plugin its own `timeout`: 10 seconds, unless told."""
    done = _play(lying_guest({}), tmp_path, "--timeout", "1", inside="sleep 2")
    assert done.returncode == 0, done.stdout + done.stderr


# ---- what a program in there can reach -----------------------------------------------------------


@pytest.fixture
def outer(guest):
    """The process that made the namespaces of a command, and waits for it."""
    connection = guest.connect()
    connection._connect()
    sent = []
    connection._send = lambda program, data: (0, sent.append(program) or b"", b"")
    connection.exec_command("echo here; sleep 100")
    process = subprocess.Popen(sent[0], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    yield _child(process.pid)
    process.terminate()
    process.communicate()


def _child(process):
    return int(pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])


def test_first_process_has_nothing_of_the_host_open(outer):
    # CVE-2024-21626: a directory of the host left open is a way out.
    opened = [os.readlink(each) for each in pathlib.Path(f"/proc/{_child(outer)}/fd").iterdir()]
    assert [name for name in opened if not name.startswith("pipe:")] in ([], ["/dev/null"])


def test_python_of_the_host_cannot_be_written(outer):
    # CVE-2019-5736. Opening it says "text file busy", but only as long as somebody runs it.
    for process in (outer, _child(outer)):
        program = f"/proc/{process}/exe"
        with pytest.raises(OSError, match="Read-only file system"):
            os.chmod(program, os.stat(program).st_mode)


@pytest.mark.parametrize("name", ["exe", "root", "fd/0", "cwd"])
def test_first_process_gives_nothing_away(guest, name):
    code, output, _error = guest.connect().exec_command(f"readlink /proc/1/{name}")
    assert (code, output) == (1, b"")


_CALLS = {"x86_64": (250, 272, 435), "aarch64": (219, 97, 435)}  # keyctl, unshare, clone3
_TRY = """
import ctypes, errno, os, socket, sys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.inside import calls, kernel
kernel.prctl(kernel.NO_NEW_PRIVS, 1)
calls.refuse_calls()
keyctl, unshare, clone3 = map(int, sys.argv[1:])
def attempt(*words):
    ctypes.set_errno(0)
    kernel.libc.syscall(*map(ctypes.c_long, words))
    return errno.errorcode.get(ctypes.get_errno())
def vsock():
    try:
        socket.socket(40, socket.SOCK_STREAM)
    except OSError as error:
        return errno.errorcode[error.errno]
socket.socket(socket.AF_UNIX).close()
os.waitpid(os.fork() or os._exit(0), 0)
print(attempt(keyctl, 0, -4, 0), attempt(unshare, 0x10000000), attempt(clone3, 0, 0), vsock())
print(attempt(unshare, 0x400))
"""


def test_calls_that_reach_the_host_are_refused():
    calls = _CALLS.get(os.uname().machine) or pytest.skip("other calls on this machine")
    command = [sys.executable, "-c", _TRY, *map(str, calls)]
    answer = subprocess.check_output(command, text=True).split()
    assert answer == ["ENOSYS", "EPERM", "ENOSYS", "EAFNOSUPPORT", "None"]


def test_commands_go_first_where_memory_is_short(guest):
    assert guest.run("cat /proc/self/oom_score_adj") == "1000"


def test_missing_file_of_a_guest_spares_ours(guest, tmp_path):
    (tmp_path / "ours").write_text("precious")
    with pytest.raises(AnsibleError, match="No such file"):
        guest.connect().fetch_file("/tmp/none", str(tmp_path / "ours"))
    assert (tmp_path / "ours").read_text() == "precious"


def test_commands_have_the_filter(guest):
    assert "Seccomp:\t2" in guest.run("cat /proc/self/status")


_SWAPPED = """
import os, sys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.inside import init, kernel
root = sys.argv[1]
names = [os.fsencode(f"{root}/{name}") for name in ("proc", "other")]
(asked, ask), (told, tell) = os.pipe(), os.pipe()
if not os.fork():  # the other command: in its namespace, /proc is a folder like any other
    os.read(asked, 1)
    kernel.libc.renameat2(-100, names[0], -100, names[1], 2)
    os.write(tell, b"!")
    os._exit(0)
kernel.check(kernel.libc.unshare(kernel.NEWNS | kernel.NEWPID), "unshare")
kernel.mount("none", "/", "", kernel.REC | kernel.PRIVATE)
os.chroot(root)
os.chdir("/")
real, mounted = init.mount, []
def mount(*arguments):
    if len(mounted) == 1:
        os.write(ask, b"!")
        os.read(told, 1)
    mounted.append(arguments)
    real(*arguments)
init.mount = mount
def first():
    init._make_proc()
    with open("/other/sys/kernel/core_pattern", "ab"):
        return 0
sys.exit(kernel.end_of(kernel.fork(first)))
"""


def test_another_command_of_the_guest_takes_no_cover_away(tmp_path):
    """It renames /proc in the middle. What is written to core_pattern is run on the host."""
    for name in ("sys", "irq", "bus", "fs", "acpi", "scsi", "dynamic_debug"):
        (tmp_path / "other" / name).mkdir(parents=True)
    for name in ("sysrq-trigger", "mtrr", *init._HIDDEN):
        (tmp_path / "other" / name).touch()
    for name in ("proc", "dev"):
        (tmp_path / name).mkdir()
    (tmp_path / "dev/null").touch()
    done = subprocess.run(
        [sys.executable, "-c", _SWAPPED, tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Read-only file system" in done.stderr) == (125, True), done.stderr
