# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Debian guest, its root in a logical volume, patched by an ordinary role; QEMU judges."""

from __future__ import annotations

import shutil
from concurrent import futures

import pytest

from ansible_collections.vdisk.lifecycle.tests.guests import boot, contents, packages

pytestmark = pytest.mark.serial
TASKS = """
- name: Offer the local repository
  ansible.builtin.copy:
    content: "deb [trusted=yes] file:/run/shared/offered ./\\n"
    dest: /etc/apt/sources.list.d/local.list
    mode: "0644"

- name: Have the newest greeting
  ansible.builtin.apt:
    name: greeting
    state: latest
    update_cache: true

- name: Configure it
  ansible.builtin.template:
    src: greeting.conf.j2
    dest: /etc/greeting.conf
    mode: "0644"
  notify: Say it was configured

- name: Enable its service
  ansible.builtin.systemd_service:
    name: greeting.service
    enabled: true
"""
HANDLERS = """
- name: Say it was configured
  ansible.builtin.copy:
    content: "configured\\n"
    dest: /etc/greeting.note
    mode: "0644"
"""
TEMPLATE = "hello from {{ ansible_facts.distribution }}\n"


@pytest.fixture(scope="module")
def offered(folder):
    """A repository with a newer version of a package of the guest."""
    place = folder / "offered"
    place.mkdir()
    shutil.move(packages.greeting(folder, "2.0"), place)
    return packages.repository(place)


@pytest.fixture(scope="module")
def site(folder):
    """An ordinary role, that knows nothing of disks."""
    files = {"tasks/main.yml": TASKS, "handlers/main.yml": HANDLERS}
    files["templates/greeting.conf.j2"] = TEMPLATE
    for name, text in files.items():
        path = folder / "roles/site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return "site"


def test_it_boots_is_patched_offline_and_boots_with_the_change(
    window, debian_guest, built_guest, offered, site
):
    if boot.missing():
        pytest.skip(boot.missing())
    patch = {"disks": [{"path": str(debian_guest), "name": "golden"}], "roles": [site]}
    with futures.ThreadPoolExecutor() as pool:
        first = pool.submit(boot.serial, built_guest)
        (result,), _printed = window.run(**patch, shared=[str(offered)], safe_mode=False)
        before, after = first.result(), boot.serial(debian_guest)
    assert contents.MARKER in before
    assert "PACKAGE greeting 1.0" in before
    assert "GREETING" not in before
    assert result["state"] == "patched"
    (upgraded,) = result["changes"]["packages"]["changed"]
    assert (upgraded["name"], upgraded["from"], upgraded["to"]) == ("greeting", "1.0", "2.0")
    assert "/etc/greeting.note" in result["changes"]["files"]["added"]
    assert contents.MARKER in after
    assert "PACKAGE greeting 2.0" in after
    assert "GREETING 2.0: hello from Debian" in after  # its service was started, and is configured
    assert "ROOT /dev/vg0/root BOOT ext4" in after
