# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of vSAN, which are objects and not made like others."""

from __future__ import annotations

import os
import uuid

import pytest
from pyVmomi import vim


@pytest.fixture
def name():
    return uuid.uuid4().hex


def datastore(here, name):
    return next(each for each in here.all(vim.Datastore) if each.name == name)


def exists(here, *path):
    return os.path.isdir(os.path.join(here.vcenter.datastore_dir, *path))


@pytest.mark.parametrize(("of", "makes"), [("datastore1", True), ("vsanDatastore", False)])
def test_a_datastore_tells_its_kind(here, of, makes):
    assert datastore(here, of).capability.topLevelDirectoryCreateSupported is makes


def test_the_manager_of_files_makes_none_at_the_top_of_vsan(here, name):
    for parents in (True, False):
        with pytest.raises(vim.fault.CannotCreateFile):
            here.content.fileManager.MakeDirectory(
                f"[vsanDatastore] {name}/below", here.datacenter, parents
            )
    assert not exists(here, "vsanDatastore", name)


def test_below_one_that_is_there_it_does(here, name):
    namespaces, files = here.content.datastoreNamespaceManager, here.content.fileManager
    made = namespaces.CreateDirectory(datastore(here, "vsanDatastore"), name)
    assert exists(here, "vsanDatastore", made.rpartition("/")[2])
    files.MakeDirectory(f"[vsanDatastore] {name}/a/b", here.datacenter, True)
    assert exists(here, "vsanDatastore", name, "a", "b")
    with pytest.raises(vim.fault.FileAlreadyExists):
        namespaces.CreateDirectory(datastore(here, "vsanDatastore"), name)
    with pytest.raises(vim.fault.FileAlreadyExists):
        files.MakeDirectory(f"[vsanDatastore] {name}/a", here.datacenter)


def test_other_datastores_have_no_namespaces(here, name):
    with pytest.raises(vim.fault.CannotCreateFile):
        here.content.datastoreNamespaceManager.CreateDirectory(datastore(here, "datastore1"), name)
    assert not exists(here, "datastore1", name)
