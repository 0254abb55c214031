# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths on datastores, as users and descriptors write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import BadReference
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.paths import (
    ManagedPath,
    parse_disk,
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("[ds] web01/web01.vmdk", "[ds] web01/web01.vmdk"),
        ("[ds]web01/web01.vmdk", "[ds] web01/web01.vmdk"),
        ("  [ds]   /web01//./web01.VMDK  ", "[ds] web01/web01.VMDK"),
        ("[data store (1)] a b/ü.vmdk", "[data store (1)] a b/ü.vmdk"),
        ("[ds] web01.vmdk", "[ds] web01.vmdk"),
        ("[ds] a/b.flat.vmdk", "[ds] a/b.flat.vmdk"),
    ],
)
def test_a_path_is_normalised(text, normal):
    assert str(parse_disk(text)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "[ds]",
        "[ds] ",
        "[ds] /",
        "[ds] web01",
        "[ds] web01/",
        "[ds] web01/.vmdk",
        "[ds] ../web01.vmdk",
        "[ds] web01/../../other/web01.vmdk",
        "[ds] web01/..",
        "[ds] web01/web01.vmx",
        "[ds] web01/web01-flat.vmdk",
        "[ds] web01/web01-000001-sesparse.vmdk",
        "[ds] web01/web01-ctk.vmdk",
        "[ds] web01/web\n01.vmdk",
        "[ds] web01/web\x0001.vmdk",
        "[] web01.vmdk",
        "web01/web01.vmdk",
        "",
    ],
)
def test_what_is_no_disk_is_refused(text):
    with pytest.raises(BadReference) as refused:
        parse_disk(text)
    assert "[datastore1] web01/web01.vmdk" in str(refused.value)


@given(st.text())
def test_whatever_is_accepted_is_normal_and_stays_in_its_datastore(text):
    try:
        path = parse_disk(f"[ds] {text}")
    except BadReference:
        return
    assert parse_disk(str(path)) == path
    assert not {"", ".", ".."} & set(path.file.split("/"))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("web01-flat.vmdk", "a/b/web01-flat.vmdk"),
        ("../c/base.vmdk", "a/c/base.vmdk"),
        ("/vmfs/volumes/5f3c-11/templates/base.vmdk", "templates/base.vmdk"),
        ("/vmfs/volumes/ds/templates/base.vmdk", "templates/base.vmdk"),
    ],
)
def test_what_a_descriptor_names_is_found(name, file):
    assert ManagedPath("ds", "a/b/web01.vmdk").beside(name, ("ds", "5f3c-11")).file == file


def test_a_disk_on_another_datastore_is_not_looked_for_on_this_one():
    with pytest.raises(BadReference, match="not on its datastore"):
        ManagedPath("ds", "a/b/web01.vmdk").beside("/vmfs/volumes/other/a/base.vmdk", ("ds",))


@pytest.mark.parametrize(
    "name", ["../../../x.vmdk", "/etc/passwd", "/vmfs/volumes/x/../../y", ".."]
)
def test_a_descriptor_cannot_lead_out_of_its_datastore(name):
    path = ManagedPath("ds", "a/web01.vmdk")
    try:
        found = path.beside(name, ("x",)).file
    except BadReference:
        return
    assert not found.startswith(("/", ".."))
    assert ".." not in found.split("/")
