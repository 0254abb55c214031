# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command sees inside of a guest, and what it cannot do from there."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import time

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session


def test_command_has_the_guest_as_its_root(make_guest):
    guest = make_guest(files={"etc/app.conf": "of the guest\n"})
    assert guest.run("cat /etc/app.conf; hostname; id -u").split("\n") == [
        "of the guest",
        "web01",
        "0",
    ]


def test_status_output_and_errors_are_the_command_s(guest):
    assert guest.connect().exec_command("echo out; echo err >&2; exit 7") == (7, b"out\n", b"err\n")


def test_input_reaches_the_command(guest):
    assert guest.connect().exec_command("cat", in_data=b"\0binary\xff") == (0, b"\0binary\xff", b"")


def test_command_without_input_does_not_wait_for_any(guest):
    assert guest.run("cat | wc -c") == "0"


def test_broken_pipe_ends_a_program_as_anywhere(guest):
    assert guest.run("yes | head -n 1") == "y"


def test_processes_of_the_host_are_not_seen(guest):
    seen = [int(name) for name in guest.run("echo /proc/[0-9]*").replace("/proc/", "").split()]
    assert max(seen) < 10
    assert 1 in seen


def test_devices_of_the_host_are_not_seen(guest):
    expected = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert guest.run("echo $(ls /dev)") == expected


def test_device_made_inside_cannot_be_opened(guest):
    loop = os.stat("/dev/loop0").st_rdev
    for folder in ("/dev", "/dev/shm", "/root", "/run"):
        made = f"mknod {folder}/disk b {os.major(loop)} {os.minor(loop)}"
        code, output, error = guest.connect().exec_command(
            f"{made} && head -c 1 {folder}/disk; rm {folder}/disk"
        )
        assert b"Permission denied" in error, (folder, code, output, error)


def test_device_of_the_host_keeps_its_mode(guest):
    before = os.stat("/dev/null")
    code, _output, error = guest.connect().exec_command("chmod 600 /dev/null")
    assert code and b"Read-only" in error
    assert os.stat("/dev/null").st_mode == before.st_mode
    assert guest.run("echo x > /dev/null; echo written") == "written"


@pytest.mark.parametrize(
    "attempt",
    [
        "echo x > /proc/sys/kernel/core_pattern",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /sys/kernel/mm/ksm/run",
        "mount -t tmpfs x /root",
        "mount -o remount,rw /proc/sys",
        "hostname elsewhere",
        "unshare -m true",
    ],
)
def test_host_cannot_be_changed(guest, attempt):
    assert guest.connect().exec_command(attempt)[0] != 0


def test_secrets_of_the_controller_are_not_seen(guest, monkeypatch):
    monkeypatch.setenv("VDISK_PASSPHRASE", "correct horse")
    assert guest.run("cat /proc/1/environ | wc -c") == "0"
    assert "correct horse" not in guest.run("env")


def test_network_is_off(guest):
    assert guest.run("ls /sys/class/net") == "lo"
    assert guest.run("cat /sys/class/net/lo/flags") == "0x9"  # up, loopback


def test_what_a_command_leaves_running_ends_with_it(guest):
    sleepers = f"sleep 987{os.getpid()}"
    begun = time.monotonic()
    guest.run(f"{sleepers} & {sleepers} >/dev/null 2>&1 & echo done")
    assert time.monotonic() - begun < 60
    assert sleepers.encode() not in subprocess.check_output(["ps", "axww"])


def test_command_has_an_end(guest):
    begun = time.monotonic()
    code, _output, error = guest.connect(command_timeout=1).exec_command("sleep 100 & sleep 100")
    assert (code, b"ansible_vmdk_timeout" in error) == (124, True)
    assert time.monotonic() - begun < 60


def test_command_ends_when_nobody_reads_on(guest):
    connection = guest.connect()
    connection._connect()
    request = {"verb": "exec", "argv": ["/bin/sh", "-c", "echo here; sleep 100"]}
    process = subprocess.Popen(_program(connection, request), stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    process.stdout.close()
    process.wait(20)


def test_nothing_is_left_after_kill(guest):
    connection = guest.connect()
    connection._connect()
    request = {"verb": "exec", "argv": ["/bin/sh", "-c", "echo here; sleep 100"]}
    process = subprocess.Popen(_program(connection, request), stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    process.kill()
    process.wait()
    process.stdout.read()  # until the last one inside is gone
    process.stdout.close()
    assert not (guest.root / "usr/sbin/policy-rc.d").exists()


def _program(connection, request):
    sent = []
    connection._send = lambda program, data: (0, sent.append(program) or b"", b"")
    connection._run(request, None)
    return sent[0]


# ---- services and names --------------------------------------------------------------------------


def test_no_service_starts_and_the_image_does_not_tell(guest):
    before = _tree(guest.root)
    assert guest.run("/usr/sbin/policy-rc.d; echo $?") == "101"
    assert _tree(guest.root) == before


def test_policy_of_the_guest_s_own_is_covered_and_kept(make_guest):
    guest = make_guest(files={"usr/sbin/policy-rc.d": "#!/bin/sh\nexit 0\n"})
    assert guest.run("/usr/sbin/policy-rc.d; echo $?") == "101"
    assert (guest.root / "usr/sbin/policy-rc.d").read_text() == "#!/bin/sh\nexit 0\n"


def test_many_commands_at_once_share_the_policy(guest):
    def run(seconds):
        return guest.run(f"sleep {seconds}; /usr/sbin/policy-rc.d; echo $?")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(run, (0.1, 0.3, 0.2, 0.4, 0.1, 0.2))) == {"101"}
    assert not (guest.root / "usr/sbin/policy-rc.d").exists()


@pytest.mark.parametrize(
    "kind",
    ["missing", "file", "link to run", "dangling link"],
)
def test_names_are_resolved_as_the_host_does(make_guest, kind):
    own, links = {}, {}
    if kind == "file":
        own["etc/resolv.conf"] = "nameserver 192.0.2.1\n"
    elif kind != "missing":
        target = "../run/systemd/resolve/stub.conf" if "run" in kind else "/etc/elsewhere"
        links["etc/resolv.conf"] = target
    guest = make_guest(files=own, links=links)
    before = _tree(guest.root)
    expected = pathlib.Path("/etc/resolv.conf").read_text(encoding="utf-8").strip()
    assert guest.run("cat /etc/resolv.conf", network=True) == expected
    assert _tree(guest.root) == before


def test_network_of_the_host_can_be_had(guest):
    seen = guest.run("cat /proc/net/dev", network=True)
    ours = pathlib.Path("/proc/net/dev").read_text(encoding="utf-8").strip()
    assert len(seen.split("\n")) == len(ours.split("\n"))


def test_shared_directory_is_seen_and_not_written(guest, tmp_path):
    shared = tmp_path / "repo"
    shared.mkdir()
    (shared / "Packages").write_text("list")
    assert guest.run("cat /run/shared/repo/Packages", shared=[str(shared)]) == "list"
    command = "touch /run/shared/repo/new"
    assert guest.connect(shared=[str(shared)]).exec_command(command)[0] != 0


def _tree(root):
    return sorted(
        (str(path.relative_to(root)), path.lstat().st_mode, path.lstat().st_size)
        for path in root.rglob("*")
        if path.name != "lost+found"
    )


# ---- links ---------------------------------------------------------------------------------------


def test_put_follows_links_of_the_guest_only(make_guest, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("host")
    guest = make_guest(
        links={"tmp/out": str(victim), "tmp/up": "../../../../../../../.." + str(victim)}
    )
    source = tmp_path / "source"
    source.write_text("hostile")
    for name in ("/tmp/out", "/tmp/up"):
        with pytest.raises(AnsibleError, match="No such file"):
            guest.connect().put_file(str(source), name)
    assert victim.read_text() == "host"


def test_fetch_follows_links_of_the_guest_only(make_guest, tmp_path):
    guest = make_guest(
        files={"etc/shadow": "of the guest"},
        links={"tmp/abs": "/etc/shadow", "tmp/up": "../../../../../../../../etc/shadow"},
    )
    for name in ("/tmp/abs", "/tmp/up"):
        guest.connect().fetch_file(name, str(tmp_path / "got"))
        assert (tmp_path / "got").read_text() == "of the guest"


def test_mount_points_that_are_links_stay_inside(make_guest, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    guest = make_guest(remove=["dev"], links={"dev": str(victim)})
    with pytest.raises(AnsibleConnectionFailure, match="no directory /dev"):
        guest.run("true")
    assert list(victim.iterdir()) == []


def test_link_to_a_device_is_not_covered(make_guest):
    guest = make_guest(links={"usr/sbin/policy-rc.d": "/dev/null"})
    with pytest.raises(AnsibleConnectionFailure, match="is a link to /dev/null"):
        guest.run("true")


def test_pipe_in_the_place_of_a_file_keeps_nobody_waiting(guest, tmp_path):
    guest.run("mknod /tmp/pipe p; rm /etc/hostname; mknod /etc/hostname p")
    with pytest.raises(AnsibleError, match="not a file"):
        guest.connect().fetch_file("/tmp/pipe", str(tmp_path / "got"))


@pytest.mark.parametrize("size", [0, 1, (32 << 20) - 1, 32 << 20, (32 << 20) + 1])
def test_files_go_in_and_out_as_they_are(guest, tmp_path, size, monkeypatch):
    from ansible_collections.vdisk.lifecycle.plugins.connection import vmdk_root

    monkeypatch.setattr(vmdk_root, "_AT_ONCE", 1 << 20)
    size = size // 32
    content = os.urandom(size)
    (tmp_path / "in").write_bytes(content)
    guest.connect().put_file(str(tmp_path / "in"), "/tmp/file")
    assert (guest.root / "tmp/file").read_bytes() == content
    assert (guest.root / "tmp/file").stat().st_mode & 0o777 == 0o600
    guest.connect().fetch_file("/tmp/file", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == content


# ---- refusals ------------------------------------------------------------------------------------


def test_directory_that_we_did_not_mount_is_refused(tmp_path, guest):
    other = tmp_path / "other"
    other.mkdir()
    guest.root = other
    with pytest.raises(AnsibleConnectionFailure, match="was not mounted by vmdk_mount"):
        guest.run("true")


def test_mount_that_is_gone_is_refused(guest):
    subprocess.run(["umount", guest.root], check=True)
    with pytest.raises(AnsibleConnectionFailure, match="was unmounted by somebody else"):
        guest.run("true")


def test_mount_over_ours_is_refused(guest):
    subprocess.run(["mount", "-t", "tmpfs", "x", guest.root], check=True)
    try:
        with pytest.raises(AnsibleConnectionFailure, match="was unmounted by somebody else"):
            guest.run("true")
    finally:
        subprocess.run(["umount", guest.root], check=True)


def test_helper_and_session_agree_on_what_is_alive(guest):
    assert session.mounted(str(guest.root)).healthy
    guest.run("true")


def test_name_is_no_mount_point(guest):
    guest.root = "web01"
    with pytest.raises(AnsibleConnectionFailure, match="'web01' is not a directory"):
        guest.run("true")


def test_read_only_guest_can_be_asked(make_guest):
    guest = make_guest(read_only=True)
    assert guest.run("hostname; echo x > /tmp/x && cat /tmp/x").split() == ["web01", "x"]


def test_read_only_guest_takes_no_files(make_guest, tmp_path):
    guest = make_guest(read_only=True)
    (tmp_path / "x").write_text("x")
    with pytest.raises(AnsibleError, match=r"mounted read-only.*transaction: true"):
        guest.connect().put_file(str(tmp_path / "x"), "/tmp/x")
    with pytest.raises(AnsibleError, match="mounted read-only"):
        guest.run("mkdir -p /tmp/ansible-tmp-1")


def test_programs_of_another_machine_are_told(make_guest):
    shell = bytearray(64)
    shell[:20] = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + (183).to_bytes(2, "little")
    guest = make_guest(remove=["bin/sh"], files={"bin/sh": bytes(shell)})
    (guest.root / "bin/sh").chmod(0o755)
    with pytest.raises(AnsibleConnectionFailure, match="the guest is aarch64, this host is"):
        guest.run("true")


def test_volume_without_a_system_is_told(make_guest):
    guest = make_guest(remove=["bin/sh"])
    with pytest.raises(AnsibleConnectionFailure, match="has no /bin/sh"):
        guest.run("true")


@pytest.mark.parametrize(
    ("pythons", "message"),
    [((), "is missing. There: none"), (("python3.6",), "is 3.6. There: /usr/bin/python3.6")],
)
def test_modules_without_a_python_are_told_at_once(make_guest, pythons, message):
    links = {"usr/bin/python3": pythons[0]} if pythons else {}
    guest = make_guest(files={f"usr/bin/{name}": "" for name in pythons}, links=links)
    with pytest.raises(AnsibleError, match=message):
        guest.connect().exec_command("/bin/sh -c '/usr/bin/python3 && sleep 0'", in_data=b"module")
    assert guest.run("echo raw works") == "raw works"


@pytest.mark.parametrize("version", ["3.8", "3.9"])
def test_older_python_is_told(guest, version):
    name = shutil.which(f"python{version}")
    if (
        name is None
        or subprocess.run([name, "-c", ""], check=False, capture_output=True).returncode
    ):
        pytest.skip(f"Python {version} is not installed")
    with pytest.raises(AnsibleConnectionFailure, match=r"needs Python 3\.10"):
        guest.run("true", proxy_python=name)


def test_user_who_is_not_root_is_told(guest):
    options = {
        "privilege_exe": "setpriv --reuid=65534 --clear-groups",
        "proxy_python": "/usr/bin/python3",  # others may be in somebody's home
    }
    with pytest.raises(AnsibleConnectionFailure, match=r"needs root.*ansible_vmdk_privilege_exe"):
        guest.run("true", **options)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12"])
def test_any_python_since_3_10_can_enter(guest, tmp_path, version):
    name = shutil.which(f"python{version}") or "false"
    where = [name, "-c", "import sys; print(sys.executable)"]  # not a version manager's shim
    probe = subprocess.run(where, check=False, capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"Python {version} is not installed")
    options = {"proxy_python": probe.stdout.strip(), "shared": [str(tmp_path)]}
    assert guest.run("hostname", **options) == "web01"


def test_async_is_refused_in_words(guest):
    with pytest.raises(AnsibleError, match="async is not possible"):
        guest.run("python3 /tmp/ansible-tmp-1/async_wrapper.py")


def test_a_command_keeps_no_mount_of_the_host(guest, tmp_path):
    """Else no other disk could be closed before it has ended."""
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "other", other], check=True)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            command = "touch /root/begun; until test -e /root/go; do sleep 0.1; done"
            running = pool.submit(guest.run, command)
            _wait_until((guest.root / "root/begun").exists)
            try:
                seen = _processes_that_see(other)
            finally:
                (guest.root / "root/go").touch()
            running.result()
    finally:
        subprocess.run(["umount", other], check=True)
    assert seen == set()


def _processes_that_see(point):
    """In other mount namespaces than ours."""
    seen = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            elsewhere = os.readlink(process / "ns/mnt") != os.readlink("/proc/self/ns/mnt")
            if elsewhere and f" {point} " in (process / "mountinfo").read_text():
                seen.add((process / "cmdline").read_text())
        except OSError:  # it has ended
            continue
    return seen


def _wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
