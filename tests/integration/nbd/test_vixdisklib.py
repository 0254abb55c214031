# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport vddk over the real plugin of nbdkit, with a library of ours in VMware's place.

Needs nbdkit-plugin-vddk, which Debian 13 and Ubuntu have, and Debian 12 has not.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.vddk.transport import (
    Vddk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.tests.integration.nbd.conftest import need

SECRET = "the password of these tests"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The folder of a VDDK 8 of ours."""
    need("nbdkit", "gcc")
    asked = subprocess.run(["nbdkit", "vddk", "--dump-plugin"], capture_output=True, check=False)
    if asked.returncode:
        pytest.skip("needs nbdkit's vddk plugin (nbdkit-plugin-vddk; Debian 12 has none)")
    folder = tmp_path_factory.mktemp("vddk")
    (folder / "lib64").mkdir()
    source = Path(__file__).with_name("vixdisklib.c")
    made = folder / "lib64" / "libvixDiskLib.so.8"
    argv = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", str(source), "-o", str(made)]
    subprocess.run(argv, check=True)
    return folder


@pytest.fixture
def transport(library, sample, monkeypatch):  # pylint: disable=redefined-outer-name
    monkeypatch.setattr(Vddk, "_thumbprint", "AB:CD")
    (library / "vddk.image").write_text(str(sample[0]))
    (library / "vddk.seen").unlink(missing_ok=True)
    content = SimpleNamespace(about=SimpleNamespace(version="8.0.3"))
    session = SimpleNamespace(vcenter=VCenter("vc", "backup", SECRET), content=content)
    made = Vddk(session, str(library))
    yield made
    made.close()


def frozen(size, path="[ds1] web01/web01.vmdk"):
    return SimpleNamespace(
        vm=SimpleNamespace(_moId="vm-1"), snapshot=SimpleNamespace(_moId="snapshot-2"),
        device=SimpleNamespace(backing=SimpleNamespace()), path=path, size=size,
        is_encrypted=False,
    )  # fmt: skip


def test_what_the_library_is_asked_for(library, transport, sample):
    disk = frozen(len(sample[1]))
    assert transport.refusal(disk) is None
    with transport.open(disk) as device:
        assert read(device, 0, device.size) == sample[1]
        assert read(device, 1001, 99) == sample[1][1001:1100]
        holes = [run for run in device.extents() if run.kind is Kind.ZERO]
        assert sum(run.length for run in holes) > len(sample[1]) // 2
        assert not any(any(sample[1][run.offset : run.end]) for run in holes)
    seen = dict(line.split("=", 1) for line in (library / "vddk.seen").read_text().splitlines())
    assert seen["configuration"].endswith("vddk.conf")
    expected = {
        "server": "vc", "vm": "moref=vm-1", "thumbprint": "AB:CD", "user": "backup",
        "password": SECRET, "read_only": "1", "snapshot": "snapshot-2", "close": "1",
        "modes": "san:nbdssl:nbd", "path": "[ds1] web01/web01.vmdk",
    }  # fmt: skip
    assert {name: seen.get(name) for name in expected} == expected
    assert "write" not in seen and "too long" not in seen


def test_what_the_library_says(transport):
    with pytest.raises(TransportUnavailable, match="do not have access rights"):
        transport.open(frozen(1 << 20, "[ds1] broken.vmdk"))
