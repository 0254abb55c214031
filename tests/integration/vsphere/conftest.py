# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated vCenter (fixture `vcenter`), and ways to it: a session, modules."""

# pylint: disable=unused-import
from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)

# modules.vmdk_vm_info(…), in a process of its own
from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    modules,
    zygote,
)

# lab: disks to attach, and other eyes to look at them with
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.attaching import (  # noqa: F401
    access,
    lab,
    one_vcenter,
)

# there: a machine with something of everything
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.furnished import (  # noqa: F401
    there,
)

# at_work: a run of ours, at a machine that nobody has touched
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (  # noqa: F401
    at_work,
    machines,
    place,
)

# room: machines to back up and restore
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.restored import (  # noqa: F401
    inside,
    road,
    room,
)


@pytest.fixture
def trusted(vcenter, monkeypatch):
    """The simulator, as an environment knows it that trusts its certificate."""
    for name, value in vcenter.environment().items():
        monkeypatch.setenv(name, value)
    return vcenter


@pytest.fixture
def target(trusted):
    """Where to log in, and as whom."""
    return VCenter(trusted.hostname, trusted.username, trusted.password, port=trusted.port)


@pytest.fixture
def session(target):
    """One that is logged in."""
    with open_session(target) as opened:
        yield opened
