# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow disks, and playbooks that work on many of them at a time."""

# pylint: disable=unused-import
from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml

# start("nbdkit", …)
from ansible_collections.vdisk.lifecycle.tests.integration.nbd.conftest import (  # noqa: F401
    start,
)

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


@pytest.fixture
def slow_disk(start, tmp_path):  # noqa: F811
    """slow_disk(MiB, seconds): the address of a disk that takes so long to be read, until hurry."""

    def make(size, seconds):
        rate = (f"rate={8 * size // seconds}M", f"rate-file={tmp_path}/rate")  # in bits
        filters = ("--filter=noextents", "--filter=rate")
        return start("nbdkit", "-r", *filters, "pattern", f"{size}M", *rate).uri

    return make


@pytest.fixture
def hurry(tmp_path):
    """hurry(): what the test waited for has come, the rest of the slow disks need not be slow."""

    def hurry():
        (tmp_path / "quick").write_text("1G")
        (tmp_path / "quick").rename(tmp_path / "rate")

    return hurry


@pytest.fixture
def book(tmp_path):
    """book(names, *tasks, **play): the command that runs them on local hosts of these names."""

    def write(names, *tasks, **play):
        hosts = {name: {"ansible_connection": "local"} for name in names}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        plays = [{"hosts": "all", "gather_facts": False, **play, "tasks": list(tasks)}]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(plays, sort_keys=False))
        return [str(PLAYBOOK), "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]

    return write


@pytest.fixture
def environment(tmp_path):
    """Of a user at a terminal who wants the table."""
    hidden = ("NO_COLOR", "ANSIBLE_NOCOLOR", "ANSIBLE_FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {
        **kept,
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CALLBACKS_ENABLED": "vdisk.lifecycle.vmdk_table",
        "ANSIBLE_LOG_PATH": str(tmp_path / "log"),
    }
