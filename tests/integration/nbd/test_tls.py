# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS, with nbdkit, qemu and libnbd at the other end."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    AccessDenied,
    DiskError,
    ServerUnreachable,
    UntrustedCertificate,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.client import (
    open_nbd,
)
from ansible_collections.vdisk.lifecycle.tests.integration.nbd.conftest import (
    make_authority,
    need,
)


def over_tls(server, folder, more=""):
    return f"nbds+unix:///?socket={server.socket}&tls-certificates={folder}{more}"


@pytest.fixture
def nbdkit(start, pki, sample):
    return start("nbdkit", "--tls=require", f"--tls-certificates={pki}", "file", sample[0])


def test_nbdkit(nbdkit, pki, sample):
    with open_nbd(over_tls(nbdkit, pki), writable=True) as disk:
        assert read(disk, 0, disk.size) == sample[1]
        disk.write(0, b"y" * 3_000_000)
        disk.flush()
    assert sample[0].read_bytes()[:3_000_001].count(b"y") >= 3_000_000


def test_a_server_of_another_authority(nbdkit, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    make_authority(folder)
    with pytest.raises(UntrustedCertificate, match=r"not trusted.*tls-certificates"):
        open_nbd(over_tls(nbdkit, folder))
    with open_nbd(over_tls(nbdkit, folder, "&tls-verify-peer=false")) as disk:
        assert disk.size


def test_a_server_of_another_name(nbdkit, pki):
    with pytest.raises(UntrustedCertificate, match="elsewhere"):
        open_nbd(over_tls(nbdkit, pki, "&tls-hostname=elsewhere"))


def test_plain_where_tls_is_needed(nbdkit):
    with pytest.raises(AccessDenied, match="nbds://"):
        nbdkit.open()


def test_tls_where_there_is_none(start, pki):
    with pytest.raises(ServerUnreachable, match="offers no TLS"):
        open_nbd(over_tls(start("nbdkit", "memory", "1M"), pki))


def test_a_client_that_must_be_known(start, pki, tmp_path):
    options = ("--tls=require", f"--tls-certificates={pki}", "--tls-verify-peer")
    server = start("nbdkit", *options, "memory", "1M")
    with open_nbd(over_tls(server, pki)) as disk:
        assert disk.size == 1 << 20
    shutil.copy(pki / "ca-cert.pem", tmp_path)
    with pytest.raises(DiskError):
        open_nbd(over_tls(server, tmp_path))


# Our server


def run(*argv):
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False)


@pytest.fixture
def exported(served, free_port, pki, sample):
    """Over TCP, for known clients only."""
    served(
        path=str(sample[0]), port=free_port, address="localhost", name="web01",
        tls_certificates=str(pki), tls_verify_clients=True,
    )  # fmt: skip
    return free_port


def test_libnbd_and_qemu(exported, pki, sample, tmp_path):
    need("nbdcopy", "qemu-img")
    uri = f"nbds://localhost:{exported}/web01?tls-certificates={pki}"
    copied = tmp_path / "copied"
    assert run("nbdcopy", uri, copied).returncode == 0
    assert copied.read_bytes() == sample[1]
    creds = f"tls-creds-x509,id=t,endpoint=client,dir={pki}"
    image = f"driver=nbd,host=localhost,port={exported},export=web01,tls-creds=t"
    here = f"driver=raw,file.filename={sample[0]}"
    done = run("qemu-img", "compare", "--object", creds, "--image-opts", image, here)
    assert "identical" in done.stdout, done.stderr


def test_strangers_stay_outside(exported, pki, tmp_path, sample):
    shutil.copy(pki / "ca-cert.pem", tmp_path)
    for uri in (
        f"nbd://localhost:{exported}/web01",
        f"nbds://localhost:{exported}/web01?tls-certificates={tmp_path}",
    ):
        with pytest.raises(DiskError):
            open_nbd(uri)
    with open_nbd(f"nbds://localhost:{exported}/web01?tls-certificates={pki}") as disk:
        assert read(disk, 0, disk.size) == sample[1]


def test_certificates_that_are_missing(modules, tmp_path, sample):
    failed = modules.fail(
        "vmdk_export",
        path=sample[0],
        socket=tmp_path / "s",
        tls_certificates=tmp_path,
    )
    assert "server-cert.pem" in failed["msg"]
