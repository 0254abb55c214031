# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real NBD servers, certificates made for a test, and modules."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.client import (
    open_nbd,
)
from ansible_collections.vdisk.lifecycle.tests import ports

# modules.vmdk_export(…), in a process of its own; an encrypted repository
from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    modules,
    repository,
    zygote,
)

SIZE = 6 << 20


def need(*programs):
    """Skip where a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


def answers(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Program:
    """A server that runs until the test ends, and can be killed and started again."""

    def __init__(self, argv, socket_path):
        self.argv = argv
        self.socket = socket_path
        self.uri = f"nbd+unix:///?socket={socket_path}"
        self.start()

    def start(self):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(self.argv, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not answers(self.socket):
            assert self.process.poll() is None and time.monotonic() < end, self.argv
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def open(self, *, writable=False):
        return open_nbd(self.uri, writable=writable)


@pytest.fixture
def start(tmp_path):
    """start("nbdkit", "memory", "1M") → Program."""
    with contextlib.ExitStack() as running:

        def begin(program, *arguments):
            need(program)
            path = tmp_path / f"{program}{len(list(tmp_path.iterdir()))}.sock"
            argv = {
                "nbdkit": ["nbdkit", "-f", "-U", str(path)],
                "qemu-nbd": ["qemu-nbd", "-t", "-k", str(path)],
            }[program]
            server = Program([*argv, *map(str, arguments)], path)
            running.callback(server.kill)
            return server

        yield begin


@pytest.fixture
def sample(tmp_path):
    """A raw file with data, zeros and holes, as (path, content)."""
    pick = Random(7)
    content = bytearray(SIZE)
    path = tmp_path / "sample.img"
    with open(path, "wb") as stream:
        stream.truncate(SIZE)
        for offset in (0, 900_000, 3 << 20, SIZE - 70_000):
            data = pick.randbytes(70_000)
            stream.seek(offset)
            stream.write(data)
            content[offset : offset + len(data)] = data
    return path, bytes(content)


@pytest.fixture
def served(modules, tmp_path, monkeypatch):  # noqa: F811 # pylint: disable=redefined-outer-name
    """served(path=…) → the URI of a disk that vmdk_export serves until the test ends."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    places = []

    def serve(**arguments):
        if "port" not in arguments:
            arguments.setdefault("socket", str(tmp_path / f"export{len(places)}.sock"))
        keys = ("socket", "port", "address")
        places.append({key: arguments[key] for key in keys if key in arguments})
        return modules.vmdk_export(**arguments)["export"]["uri"]

    yield serve
    for place in places:
        modules.vmdk_export(**place, state="stopped")
    assert list((tmp_path / "run" / "exports").iterdir()) == []


@pytest.fixture
def free_port():
    return ports.free_port()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """A folder with an authority, and a server and a client that it knows."""
    need("openssl")
    folder = tmp_path_factory.mktemp("pki")
    make_authority(folder)
    make_certificate(folder, "server", "localhost")
    make_certificate(folder, "client", "a client")
    return folder


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_authority(folder):
    openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "ca-key.pem", "-out", "ca-cert.pem", "-days", "2", "-subj", "/CN=authority",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip


def make_certificate(folder, who, name):
    (folder / "extensions").write_text(
        f"subjectAltName=DNS:{name.replace(' ', '-')}\nkeyUsage=critical,digitalSignature\n"
        "basicConstraints=critical,CA:FALSE\n"
    )
    openssl(
        folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", f"{who}-key.pem", "-out", "request.pem", "-subj", f"/CN={name}",
    )  # fmt: skip
    openssl(
        folder, "x509", "-req", "-in", "request.pem", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem",
        "-CAcreateserial", "-out", f"{who}-cert.pem", "-days", "2", "-extfile", "extensions",
    )  # fmt: skip
