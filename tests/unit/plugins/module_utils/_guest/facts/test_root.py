# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a guest: found as the guest finds them, and nothing of the host's."""

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.root import GuestRoot


@pytest.fixture
def root(tmp_path):
    """A guest beside a host that has a secret."""
    guest = tmp_path / "guest"
    (guest / "etc/deep").mkdir(parents=True)
    (guest / "usr/lib").mkdir(parents=True)
    (guest / "etc/name").write_text("guest")
    (guest / "usr/lib/os-release").write_text("ID=debian")
    (tmp_path / "secret").write_text("of the host")
    before = set(os.listdir("/proc/self/fd"))
    with GuestRoot(str(guest)) as opened:
        opened.path = guest
        yield opened
    assert set(os.listdir("/proc/self/fd")) <= before


def test_a_file_is_read(root):
    assert root.text("/etc/name") == "guest"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("etc/link", "../usr/lib/os-release"),
        ("etc/link", "/usr/lib/os-release"),
        ("etc/deep/link", "../../usr/./lib//os-release"),
        ("etc/link", "../../../../../usr/lib/os-release"),
    ],
)
def test_links_mean_what_they_mean_to_the_guest(root, name, target):
    (root.path / name).symlink_to(target)
    assert root.text("/" + name) == "ID=debian"


@pytest.mark.parametrize("target", ["../../secret", "/../secret", "../../../secret"])
def test_no_link_leads_out(root, target):
    (root.path / "etc/link").symlink_to(target)
    assert root.read("/etc/link") is None


def test_a_linked_folder_does_not_lead_out_either(root, tmp_path):
    (root.path / "var").symlink_to(tmp_path)
    assert root.read("/var/secret") is None
    assert root.names("/var") == []


def test_dots_in_a_path_do_not_lead_out(root):
    assert root.read("/../secret") is None
    assert root.text("/etc/../../etc/name") == "guest"


def test_a_ring_of_links_is_nothing(root):
    (root.path / "one").symlink_to("two")
    (root.path / "two").symlink_to("one")
    assert root.read("/one") is None
    assert root.status("/one") is None


def test_a_pipe_and_a_device_keep_nobody_waiting(root):
    os.mkfifo(root.path / "pipe")
    assert root.read("/pipe") is None
    assert stat.S_ISFIFO(root.status("/pipe").st_mode)


def test_a_large_file_is_not_read(root):
    with open(root.path / "large", "wb") as stream:
        stream.truncate(1 << 40)
    assert root.read("/large", 1 << 20) is None


@pytest.mark.parametrize("path", ["/none", "/etc/name/below", "/etc", "/none/at/all", "/"])
def test_what_is_no_file_has_no_content(root, path):
    assert root.read(path) is None


def test_names_of_a_folder(root):
    assert root.names("/etc") == ["deep", "name"]
    assert root.names("/etc/name") == []


def test_what_a_link_says(root):
    (root.path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Vienna")
    assert root.link("/etc/localtime") == "/usr/share/zoneinfo/Europe/Vienna"
    assert root.link("/etc/name") is None
