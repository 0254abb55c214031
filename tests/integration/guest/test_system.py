# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest is, as its own tools say it: this machine is one, others are made up."""

from __future__ import annotations

import platform
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts import people, system
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.root import GuestRoot


@pytest.fixture
def here():
    with GuestRoot("/") as root:
        yield root


@pytest.fixture
def guest(tmp_path):
    """guest({path: text}): the facts of a root with these files."""

    def make(files):
        for path, text in files.items():
            target = tmp_path / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text if isinstance(text, bytes) else text.encode())
        return GuestRoot(str(tmp_path))

    return make


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_this_machine(here):
    found = system.system(here)
    assert found["architecture"] == platform.machine()
    told = platform.freedesktop_os_release()
    assert (found["id"], found["name"]) == (told["ID"], told["PRETTY_NAME"])
    assert found["version"] == told.get("VERSION_ID")


def test_its_users_are_those_of_the_system(here):
    known = {each.pw_name: (each.pw_uid, each.pw_gid, each.pw_dir) for each in pwd.getpwall()}
    found = {each["name"]: (each["uid"], each["gid"], each["home"]) for each in people.users(here)}
    assert found.items() <= known.items()
    assert found["root"] == (0, 0, "/root")


@pytest.mark.skipif(not shutil.which("systemctl"), reason="no systemd")
def test_its_services_are_those_that_systemd_calls_enabled(here):
    listed = run("systemctl", "--root=/", "list-unit-files", "--state=enabled", "--no-legend")
    enabled = {line.split()[0] for line in listed.splitlines()}
    found = set(people.services(here))
    assert {each for each in enabled if "@" not in each} <= found | aliases(enabled)


def aliases(names):
    """Units that are enabled by an alias only."""
    folder = Path("/etc/systemd/system")
    linked = {path.resolve().name for path in folder.iterdir() if path.is_symlink()}
    return names & linked


def test_no_password_is_ever_told(guest):
    hashes = {"root": "$y$j9T$abc$def", "daemon": "*", "guest": "", "locked": "!$6$salt$hash"}
    shadow = "".join(f"{name}:{word}:19000:0:99999:7:::\n" for name, word in hashes.items())
    passwd = "".join(
        f"{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n"
        for uid, name in enumerate([*hashes, "unknown"])
    )
    with guest({"/etc/passwd": passwd, "/etc/shadow": shadow}) as root:
        found = people.users(root)
    assert {each["name"]: each["password"] for each in found} == {
        "root": "set",
        "daemon": "locked",
        "guest": "empty",
        "locked": "locked",
        "unknown": "unknown",
    }
    assert not any(word in str(found) for word in ("abc", "salt"))


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.3"\n', "redhat"),
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ('ID="sles"\nID_LIKE="suse"\n', "suse"),
        ("ID=alpine\n", "alpine"),
        ("ID=something\n", None),
    ],
)
def test_families(guest, text, family):
    with guest({"/usr/lib/os-release": text}) as root:
        assert system.system(root)["family"] == family


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00", "x86_64"),
        (b"\x7fELF\x02\x01" + bytes(12) + b"\xb7\x00", "aarch64"),
        (b"\x7fELF\x02\x02" + bytes(12) + b"\x00\x15", "ppc64"),
        (b"\x7fELF\x02\x01" + bytes(12) + b"\x15\x00", "ppc64le"),
        (b"#!/bin/sh\n" + bytes(20), None),
    ],
)
def test_architectures(guest, head, name):
    with guest({"/bin/sh": head}) as root:
        assert system.architecture(root) == name


def test_a_masked_service_is_not_enabled(guest, tmp_path):
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    for name in ("ssh.service", "cron.service"):
        (wants / name).symlink_to(f"/usr/lib/systemd/system/{name}")
    (tmp_path / "etc/systemd/system/cron.service").symlink_to("/dev/null")
    with guest({"/etc/runlevels/default/chronyd": ""}) as root:
        assert people.services(root) == ["chronyd", "ssh.service"]


@pytest.mark.skipif(not shutil.which("utmpdump"), reason="util-linux-extra is not installed")
def test_the_last_boot_is_that_of_wtmp(guest, tmp_path):
    text = "".join(
        f"[{kind}] [00000] [~~  ] [{user:<8}] [~           ] [6.1.0-18-amd64      ]"
        f" [0.0.0.0        ] [2026-{month:02}-03T04:05:06,000000+00:00]\n"
        for kind, user, month in [(2, "reboot", 5), (2, "reboot", 7), (7, "root", 9)]
    )
    binary = subprocess.run(
        ["utmpdump", "-r"], input=text.encode(), capture_output=True, check=True
    ).stdout
    with guest({"/var/log/wtmp": binary}) as root:
        assert people.last_boot(root) == "2026-07-03T04:05:06Z"


def test_without_any_record_nobody_can_tell(guest):
    with guest({"/etc/hostname": "web01\n"}) as root:
        assert people.last_boot(root) is None
        found = system.system(root)
    assert found["hostname"] == "web01"
    assert found["architecture"] is None
