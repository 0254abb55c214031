# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tests get a vCenter: fixtures `vcenter` (a fresh one), `shared_vcenter` (one for all tests
that leave its machines as they were), `start_vcenter` (of your choice).

They use what any client has, HTTPS; the methods of `Vcenter` speak to the control API.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import build

HERE = Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Vcenter:
    """One running simulator. Keys of disks: 2000, 2001, … in the order of the disks."""

    hostname: str
    port: int
    username: str
    password: str
    ca_file: str
    datacenter: str
    datastores: dict[str, str]
    datastore_dir: str
    control_url: str
    pid: int

    def environment(self) -> dict[str, str]:
        """What a user would set."""
        return {
            "VMWARE_HOST": self.hostname,
            "VMWARE_PORT": str(self.port),
            "VMWARE_USER": self.username,
            "VMWARE_PASSWORD": self.password,
            "VMWARE_VALIDATE_CERTS": "true",
            "SSL_CERT_FILE": self.ca_file,
        }

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        """pyVmomi's ServiceInstance, for tests that look with other eyes than ours."""
        from pyVim.connect import Disconnect, SmartConnect

        tls = ssl.create_default_context(cafile=self.ca_file)
        client = SmartConnect(
            host=self.hostname,
            port=self.port,
            user=self.username,
            pwd=self.password,
            sslContext=tls,
        )
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):  # the session may have ended long ago
                Disconnect(client)

    def guest_write(self, vm: str, disk: int, offset: int, data: bytes) -> None:
        self.control("POST", "guest/write", data, vm=vm, disk=disk, offset=offset)

    def guest_read(self, vm: str, disk: int, offset: int, length: int) -> bytes:
        return self.control("GET", "guest/read", vm=vm, disk=disk, offset=offset, length=length)

    def rule(self, method: str, **settings: Any) -> None:
        self._json("POST", "rule", {"method": method, **settings})

    def clear_rules(self) -> None:
        self.control("DELETE", "rule")

    def mode(self, **changes: Any) -> None:
        self._json("POST", "mode", changes)

    def reset_modes(self) -> None:
        self.control("DELETE", "mode")

    def expire_sessions(self) -> None:
        self.control("POST", "session/expire")

    def set_property(self, kind: str, name: str, path: str, value: object, xsi: str) -> None:
        """Whatever no API sets: "Datastore", "datastore1", "summary.freeSpace", 5, "xsd:long"."""
        query = {"type": kind, "name": name, "path": path, "xsi": xsi}
        self.control("POST", "property", str(value).encode(), **query)

    def state(self) -> dict[str, Any]:
        return self._json("GET", "state")

    def calls(self) -> dict[str, int]:
        """Those since `forget_calls`, by method."""
        return self.state()["calls"]

    def forget_calls(self) -> None:
        self.control("DELETE", "state")

    def wait_until_idle(self, seconds: float = 120) -> None:
        """What was asked for may still be done, when who asked has gone."""
        end = time.monotonic() + seconds
        while self.state()["under_way"]:
            assert time.monotonic() < end, "the simulator does not come to rest"
            time.sleep(0.02)

    def control(self, verb: str, call: str, body: bytes = b"", /, **query: Any) -> bytes:
        url = f"{self.control_url}/{call}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, body, method=verb)
        try:
            with _DIRECT.open(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise ValueError(f"{verb} {call}: {error.read().decode()}") from None

    def _json(self, verb: str, name: str, content: Any = None) -> Any:
        return json.loads(self.control(verb, name, json.dumps(content).encode()))


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def simulator(*arguments: str) -> Iterator[Vcenter]:
    """A simulator in a process of its own, which ends with this one in any case."""
    command = [sys.executable, str(HERE), "--with-parent", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the simulator did not start; its exit code is {process.wait(10)}"
        vcenter = Vcenter(**json.loads(line), pid=process.pid)
        yield vcenter
        failures = vcenter.state()["failures"] if process.poll() is None else []
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(70)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert not failures, "the simulator itself failed:\n" + "\n".join(failures)


@functools.cache
def why_not() -> str:
    """Why there is no simulator on this machine; empty where there is one."""
    try:
        build.vcsim()
        import pyVmomi  # noqa: F401
    except build.CannotBeHad as reason:
        return str(reason)
    except ImportError:
        return "pyVmomi is not installed"
    return ""


def needed() -> None:
    """Skips the test where there is no simulator; on a build machine that is a failure."""
    if reason := why_not():
        if os.environ.get("VDISK_CI"):
            pytest.fail(f"no simulated vCenter: {reason}")
        pytest.skip(f"no simulated vCenter: {reason}")


@pytest.fixture
def start_vcenter() -> Iterator[Callable[..., Vcenter]]:
    """start_vcenter("--vms", "100", "--storage", "nfs"): ends with the test."""
    needed()
    with contextlib.ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(simulator(*arguments))


@pytest.fixture
def vcenter(start_vcenter: Callable[..., Vcenter]) -> Vcenter:
    """The small world of world.py, fresh."""
    return start_vcenter()


@pytest.fixture(scope="session")
def long_lived_vcenter() -> Iterator[Vcenter]:
    """Only for `shared_vcenter`."""
    needed()
    with simulator() as vcenter:
        yield vcenter


@pytest.fixture
def shared_vcenter(long_lived_vcenter: Vcenter) -> Iterator[Vcenter]:
    """The small world, as earlier tests left it; rules and modes end with the test."""
    yield long_lived_vcenter
    long_lived_vcenter.clear_rules()
    long_lived_vcenter.reset_modes()
    long_lived_vcenter.forget_calls()
