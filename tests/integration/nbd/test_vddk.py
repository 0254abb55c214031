# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport vddk over the real nbdkit, with a file in the place of VMware's library."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.vddk import (
    library,
    nbdkit,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.vddk.transport import (
    Vddk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.tests.integration.nbd.conftest import need

SECRET = "the password of these tests"
# In the place of nbdkit: checks what it is given, and serves a file instead.
STAND_IN = """\
#!{python}
import os, sys
folder, image = {folder!r}, {image!r}
arguments = sys.argv[1:]
if "--dump-plugin" in arguments:
    print("name=vddk\\nvddk_library_version={major}\\nvddk_dll=/x/libvixDiskLib.so.{major}.0.3")
    sys.exit(0)
at = arguments.index("vddk")
given = dict(part.split("=", 1) for part in arguments[at + 1 :])
with os.fdopen(int(given["password"][1:])) as stream:
    password = stream.readline()
with open(os.path.join(folder, "seen"), "w") as stream:
    stream.write("\\n".join([password.strip(), *sys.argv, *sorted(os.environ)]))
if given["file"].endswith("broken.vmdk"):
    sys.exit("nbdkit: vddk[1]: error: VixDiskLib_Open: You do not have access rights to this file")
ours = ("minblock", "maxdata", "retries")
own = [part for part in arguments[at + 1 :] if part.split("=")[0] in ours]
os.execv({nbdkit!r}, ["nbdkit", *arguments[:at], "file", image, *own])
"""


@pytest.fixture
def stand_in(tmp_path, sample, monkeypatch):
    """stand_in(major) → the folder of a library that is only a name."""
    need("nbdkit")

    def make(major=8):
        folder = tmp_path / "vddk"
        (folder / "lib64").mkdir(parents=True)
        (folder / "lib64" / f"libvixDiskLib.so.{major}").touch()
        real = subprocess.run(["which", "nbdkit"], check=True, capture_output=True, text=True)
        program = folder / "nbdkit"
        program.write_text(
            STAND_IN.format(
                python=sys.executable, folder=str(tmp_path), image=str(sample[0]), major=major,
                nbdkit=real.stdout.strip(),
            )
        )  # fmt: skip
        program.chmod(0o755)
        monkeypatch.setattr(library.shutil, "which", lambda name, path: str(program))
        return str(folder)

    monkeypatch.setenv("VMWARE_PASSWORD", SECRET)
    monkeypatch.setattr(nbdkit.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Vddk, "_thumbprint", "AB:CD")
    return make


@pytest.fixture
def session():
    about = SimpleNamespace(version="8.0.3")
    vcenter = VCenter("vc", "backup", SECRET)
    return SimpleNamespace(vcenter=vcenter, content=SimpleNamespace(about=about))


def frozen(size, path="[ds1] web01/web01.vmdk"):
    return SimpleNamespace(
        vm=SimpleNamespace(_moId="vm-1"), snapshot=SimpleNamespace(_moId="snapshot-2"),
        device=SimpleNamespace(backing=SimpleNamespace()), path=path, size=size,
        is_encrypted=False,
    )  # fmt: skip


def left(tmp_path):
    return [path for path in tmp_path.iterdir() if path.name.startswith("vdisk-vddk-")]


def test_content_and_holes(stand_in, session, sample, tmp_path):
    transport = Vddk(session, stand_in())
    disk = frozen(len(sample[1]))
    assert transport.refusal(disk) is None
    with transport.open(disk) as device:
        assert read(device, 0, device.size) == sample[1]
        assert any(extent.kind is Kind.ZERO for extent in device.extents())
        assert device.name == disk.path
        pid = device._nbdkit._process.pid
    transport.close()
    assert not Path(f"/proc/{pid}").exists() and left(tmp_path) == []
    assert transport.warnings == []


def test_the_password_is_nowhere_but_in_its_pipe(stand_in, session, sample, tmp_path):
    transport = Vddk(session, stand_in())
    with transport.open(frozen(len(sample[1]))) as device:
        pid = device._nbdkit._process.pid
        password, *rest = (tmp_path / "seen").read_text().splitlines()
        assert password == SECRET
        assert SECRET not in "".join(rest) and "VMWARE_PASSWORD" not in rest
        for name in ("cmdline", "environ"):
            assert SECRET.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    transport.close()


def test_opened_by_a_thread_that_ends(stand_in, session, sample):
    """What it started must not end with it."""
    transport = Vddk(session, stand_in())
    opened = []
    thread = threading.Thread(target=lambda: opened.append(transport.open(frozen(len(sample[1])))))
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert opened[0]._nbdkit._process.poll() is None
    assert read(opened[0], 0, 512) == sample[1][:512]
    transport.close()


def test_again_after_close(stand_in, session, sample):
    transport = Vddk(session, stand_in())
    for _round in range(2):
        with transport.open(frozen(len(sample[1]))) as device:
            assert device.size
        transport.close()


def test_what_vddk_says_is_told(stand_in, session, tmp_path):
    transport = Vddk(session, stand_in())
    with pytest.raises(TransportUnavailable, match="do not have access rights"):
        transport.open(frozen(1 << 20, "[ds1] broken.vmdk"))
    transport.close()
    assert left(tmp_path) == []


def test_an_nbdkit_that_dies_is_not_waited_for(stand_in, session, sample):
    transport = Vddk(session, stand_in())
    with transport.open(frozen(len(sample[1]))) as device:
        device._nbdkit._process.kill()
        with pytest.raises(TransportUnavailable, match="nbdkit ended while"):
            read(device, 0, 512)
    transport.close()


def test_another_size_is_another_disk(stand_in, session, tmp_path):
    transport = Vddk(session, stand_in())
    with pytest.raises(TransportUnavailable, match="another disk"):
        transport.open(frozen(1 << 20))
    transport.close()
    assert left(tmp_path) == []


def test_a_library_of_another_age_is_warned_of(stand_in, session, sample):
    session.content.about.version = "10.0.0"
    transport = Vddk(session, stand_in(8))
    assert transport.refusal(frozen(len(sample[1]))) is None
    assert "VDDK 8.0.3 is not made for vSphere 10.0.0" in transport.warnings[0]
    transport.close()


def test_without_the_plugin(session, tmp_path):
    """The real nbdkit of Debian 12 has none."""
    need("nbdkit")
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib64" / "libvixDiskLib.so.8").write_text("no library")
    why = Vddk(session, str(tmp_path)).refusal(frozen(0))
    assert "no plugin" in why or "cannot load" in why


JOB = """
import signal, sys
from importlib import import_module
from types import SimpleNamespace as N

utils = "ansible_collections.vdisk.lifecycle.plugins.module_utils."
library = import_module(utils + "_transport.vddk.library")
nbdkit = import_module(utils + "_transport.vddk.nbdkit")
Vddk = import_module(utils + "_transport.vddk.transport").Vddk
VCenter = import_module(utils + "_vsphere.connection.target").VCenter
folder, nbdkit.tempfile.tempdir, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
library.shutil.which = lambda name, path: folder + "/nbdkit"
Vddk._thumbprint = "AB"
session = N(vcenter=VCenter("vc", "b", "p"), content=N(about=N(version="8.0.3")))
disk = N(vm=N(_moId="v"), snapshot=None, device=N(backing=N()), path="[d] x.vmdk", size=size)
device = Vddk(session, folder).open(disk)
print(device._nbdkit._process.pid, flush=True)
signal.pause()
"""


def test_a_killed_job_leaves_nothing(stand_in, sample, tmp_path):
    """nbdkit ends with it; its folder goes with the next run."""
    argv = [sys.executable, "-c", JOB, stand_in(), str(tmp_path), str(len(sample[1]))]
    job = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    pid = int(job.stdout.readline())
    assert len(left(tmp_path)) == 1
    job.send_signal(signal.SIGKILL)
    job.communicate()
    end = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < end
        time.sleep(0.05)
    nbdkit.sweep()
    assert left(tmp_path) == []


def is_alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return False


def test_the_thumbprint_is_that_of_the_certificate(pki, monkeypatch):
    """As openssl tells it; of a server that was found to be the right one."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pki / "ca-cert.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "server-cert.pem", pki / "server-key.pem")
    with socket.create_server(("localhost", 0)) as listener:

        def greet():
            with contextlib.suppress(OSError):
                context.wrap_socket(listener.accept()[0], server_side=True).close()

        threading.Thread(target=greet, daemon=True).start()
        vcenter = VCenter("localhost", "backup", SECRET, port=listener.getsockname()[1])
        found = Vddk(SimpleNamespace(vcenter=vcenter), "/opt")._thumbprint
    certificate = str(pki / "server-cert.pem")
    argv = ["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha1"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert told.strip().rpartition("=")[2] == found
