# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a real Debian, beside what its own programs tell of themselves."""

# pylint: disable=unused-import
from __future__ import annotations

import functools
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.guest import facts_of
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.tests.guests.fixtures import (  # noqa: F401
    built_guest,
)

pytestmark = pytest.mark.serial
FORM = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"


@pytest.fixture
def mounted(built_guest, point):  # noqa: F811
    source = functools.partial(open_disk, str(built_guest))
    session.mount(session.MountRequest(source, str(built_guest), str(point), layout="guest"))
    yield point
    session.unmount(str(point))


def own(root, *command):
    done = subprocess.run(["chroot", root, *command], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_its_own_programs_say_the_same(mounted):
    found = facts_of(str(mounted))
    listed = [line.split("\t") for line in own(mounted, "dpkg-query", "-W", f"-f={FORM}")]
    packages = sorted(tuple(words[1:]) for words in listed if words[0] == "installed")
    assert [(one["name"], one["version"], one["arch"]) for one in found["packages"]] == packages
    assert len(packages) > 50
    users = [line.split(":") for line in own(mounted, "getent", "passwd")]
    assert {(one["name"], one["uid"], one["shell"]) for one in found["users"]} == {
        (words[0], int(words[2]), words[6]) for words in users
    }
    assert (found["family"], found["package_manager"]) == ("debian", "apt")
    assert found["kernels"] == own(mounted, "ls", "/lib/modules")
    assert found["problems"] == []
