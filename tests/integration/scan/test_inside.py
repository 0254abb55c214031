# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets and packages of a guest whose root is mounted; nothing of it is written."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.scan.conftest import MIB

STATUS = """\
Package: apt
Status: install ok installed
Architecture: amd64
Version: 2.6.1

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u9
"""
FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
    "etc/shadow": "root:*:19000:0:99999:7:::\nann::19000:0:99999:7:::\n",
    "var/lib/dpkg/status": STATUS,
    "home/ann/.netrc": "machine example.com\nlogin ann password not-a-real-one\n",
}


@pytest.fixture
def guest(tmp_path, tool):
    for name, text in FILES.items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    image = tmp_path / "guest.img"
    with open(image, "wb") as stream:
        stream.truncate(16 * MIB)
    tool("mkfs.ext4", "-q", "-d", tmp_path / "files", image)
    return image


def test_secrets_and_packages(guest, mount, modules, digest):
    before = digest(guest)
    point = mount(guest)
    result = modules.vmdk_scan(mount_point=point, antivirus=False, sbom=True)
    assert not result["changed"]
    found = [(each["path"], each["line"], each["kind"]) for each in result["scan"]["secrets"]]
    assert found == [
        ("/etc/shadow", 2, "empty-password"),
        ("/home/ann/.netrc", 2, "netrc-password"),
    ]
    assert [each["purl"] for each in result["sbom"]["components"]] == [
        "pkg:deb/debian/apt@2.6.1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12",
    ]
    assert "not-a-real-one" not in str(result)
    assert digest(guest) == before


def test_what_is_allowed_is_not_told(guest, mount, modules):
    point = mount(guest)
    options = {"mount_point": point, "antivirus": False}
    first = modules.vmdk_scan(**options)["scan"]["secrets"]
    allow = ["/etc/*", first[1]["sha256"]]
    assert modules.vmdk_scan(allow=allow, fail_on=["secrets"], **options)["scan"]["secrets"] == []
