# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of packages is a CycloneDX document, and always the same one."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.sbom import (
    bill_of_materials,
    purl,
)


def package(name, version, manager, arch="amd64", source=""):
    return {"name": name, "version": version, "arch": arch, "manager": manager, "source": source}


DEBIAN = {
    "id": "debian",
    "name": "Debian GNU/Linux 12 (bookworm)",
    "version": "12",
    "packages": [
        package("libstdc++6", "1:12.2.0-14+deb12u1", "dpkg", source="gcc-12"),
        package("apt", "2.6.1", "dpkg"),
        package("apt", "2.6.1", "dpkg"),
    ],
}
FEDORA = {"id": "fedora", "name": "Fedora", "version": "41", "packages": []}
ALPINE = {"id": "alpine", "name": "Alpine", "version": "3.20.1", "packages": []}
WINDOWS = {"id": "windows", "name": "Windows 10 Pro", "version": "10.0.19045", "packages": []}
UNKNOWN = {"id": None, "name": None, "version": None, "packages": [package("a", "1", "dpkg", "")]}


@pytest.mark.parametrize(
    ("guest", "wanted", "url"),
    [
        (DEBIAN, DEBIAN["packages"][0],
         "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"),
        (FEDORA, package("curl", "2:8.9.1-2.fc41", "rpm", "x86_64"),
         "pkg:rpm/fedora/curl@8.9.1-2.fc41?arch=x86_64&distro=fedora-41&epoch=2"),
        (ALPINE, package("busybox", "1.36.1-r29", "apk", "x86_64"),
         "pkg:apk/alpine/busybox@1.36.1-r29?arch=x86_64&distro=alpine-3.20.1"),
        (UNKNOWN, UNKNOWN["packages"][0], "pkg:deb/a@1"),
        (WINDOWS, package("7-Zip 23.01 (x64)", "23.01", "windows", "x64"),
         "pkg:generic/windows/7-Zip%2023.01%20%28x64%29@23.01?arch=x64&distro=windows-10.0.19045"),
    ],
)  # fmt: skip
def test_package_urls(guest, wanted, url):
    assert purl(wanted, guest) == url


@pytest.mark.parametrize("guest", [DEBIAN, FEDORA, UNKNOWN])
def test_the_schema_of_cyclonedx_holds(guest):
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    pytest.importorskip("jsonschema")
    judge = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert judge.validate_str(json.dumps(bill_of_materials(guest))) is None


def test_a_package_is_listed_once():
    names = [each["name"] for each in bill_of_materials(DEBIAN)["components"]]
    assert names == ["apt", "libstdc++6"]


def test_the_same_packages_give_the_same_document():
    turned = {**DEBIAN, "packages": DEBIAN["packages"][::-1]}
    assert bill_of_materials(DEBIAN) == bill_of_materials(turned)
    other = {**DEBIAN, "packages": DEBIAN["packages"][1:]}
    assert bill_of_materials(other)["serialNumber"] != bill_of_materials(DEBIAN)["serialNumber"]
