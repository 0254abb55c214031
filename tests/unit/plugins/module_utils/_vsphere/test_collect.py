# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers in pages, from servers that do not come to an end."""

from __future__ import annotations

import itertools
import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.collect import (
    collect,
    properties,
)

vim = pytest.importorskip("pyVmomi").vim
VM = vim.VirtualMachine("vm-1", None)


class Server:
    """A session and a property collector that gives these answers: ids of VMs, and whether there
    are more."""

    def __init__(self, answers):
        self.vcenter = types.SimpleNamespace(hostname="vc.example.com")
        self.content = types.SimpleNamespace(propertyCollector=self)
        self._answers = iter(answers)

    def read(self, ask, _what):
        return ask()

    call = read

    def RetrievePropertiesEx(self, *_asked):  # noqa: N802
        morefs, more = next(self._answers)
        objects = [
            types.SimpleNamespace(obj=types.SimpleNamespace(_moId=moref), propSet=[])
            for moref in morefs
        ]
        return types.SimpleNamespace(objects=objects, token="more" if more else None)

    ContinueRetrievePropertiesEx = RetrievePropertiesEx


def read(*answers):
    rows = collect(Server(itertools.chain(*answers)), vim.VirtualMachine, ["name"], objects=[VM])
    return [ref._moId for ref, _values in rows]


def test_all_pages_are_read():
    assert read([(["vm-1", "vm-2"], True), (["vm-3"], True), ([], False)]) == [
        "vm-1",
        "vm-2",
        "vm-3",
    ]


@pytest.mark.parametrize("again", [[], ["vm-1"], ["vm-1", "vm-2"]], ids=str)
def test_pages_without_anything_new_are_not_read_for_ever(again):
    with pytest.raises(errors.VSphereFault, match="goes on for ever"):
        read([(["vm-1", "vm-2"], True)], itertools.repeat((again, True)))


def test_an_object_that_nothing_is_said_of_has_no_properties():
    assert properties(Server([([], False)]), VM, ["name"]) == {}
