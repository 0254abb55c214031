# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest good restore point: the lookup, and a repository as an inventory."""

import datetime
import os

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError

from ansible_collections.vdisk.lifecycle.plugins.lookup import restore_point
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job import list_disks
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.backup_disk import (
    BackupRequest,
    plan_backup,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import times
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)


@pytest.fixture
def access(tmp_path):
    url = str(tmp_path / "repository")
    create_repository(url, encryption="none")
    return Access(repository=url)


@pytest.fixture
def back_up(access, tmp_path):
    """back_up(name): its id. Each has other content than the one before."""

    def run(name, folder="vm"):
        path = tmp_path / folder / f"{name}.img"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(1 << 20))
        request = BackupRequest(access=Access(repository=access.repository), path=str(path))
        return plan_backup(request).run(check_mode=False)["restore_point"]["id"]

    return run


def look_up(*terms, **options):
    """As a template does."""
    documented = yaml.safe_load(restore_point.DOCUMENTATION)["options"]
    name = "vdisk.lifecycle.restore_point"
    constants.config.initialize_plugin_configuration_definitions("lookup", name, documented)
    plugin = restore_point.LookupModule()
    plugin._load_name = name
    return plugin.run(list(terms), {}, **options)


def test_newest_of_each_is_named_for_good(access, back_up):
    back_up("web01")
    newest, other = back_up("web01"), back_up("db01")
    found = look_up("db01", "web01", repository=access.repository)
    assert found == [f"db01@{other}", f"web01@{newest}"]
    assert access.find(found[1]).point.id == newest


def test_one_that_cannot_be_read_is_passed_over(access, back_up, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(restore_point.display, "warning", told.append)
    older, newest = back_up("web01"), back_up("web01")
    manifest = next(path for path in (tmp_path / "repository").rglob(f"*{newest}*"))
    manifest.chmod(0o644)
    manifest.write_bytes(b"damaged")
    assert look_up("web01", repository=access.repository) == [f"web01@{older}"]
    assert [newest in text for text in told] == [True]


def test_too_old_is_an_error(access, back_up):
    back_up("web01")
    assert look_up("web01", repository=access.repository, max_age="1h")
    with pytest.raises(AnsibleLookupError, match="the newest restore point is too old"):
        look_up("web01", repository=access.repository, max_age="0s")


def test_one_of_the_future_is_not_young(access, back_up, monkeypatch):
    """A clock that ran ahead would else hide for a day that there are no backups any more."""
    ahead = times.now() + datetime.timedelta(days=1)
    with monkeypatch.context() as patch:
        patch.setattr(times, "now", lambda: ahead)
        back_up("web01")
    assert look_up("web01", repository=access.repository)
    with pytest.raises(AnsibleLookupError, match="the newest restore point is one of the future"):
        look_up("web01", repository=access.repository, max_age="1h")


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "'web02': it has no restore point"), ({"max_age": "soon"}, "'soon' is not a time")],
)
def test_what_cannot_be_is_told(access, back_up, options, message):
    back_up("web01")
    with pytest.raises(AnsibleLookupError, match=message):
        look_up("web02", repository=access.repository, **options)


def test_two_of_one_name_are_not_mixed_up(access, back_up):
    back_up("web01", "here")
    back_up("web01", "there")
    with pytest.raises(AnsibleLookupError, match="2 sources are called 'web01'"):
        look_up("web01", repository=access.repository)


def test_repository_is_a_list_of_hosts(access, back_up):
    back_up("web01")
    newest, other = back_up("web01"), back_up("db01")
    told = []
    found = list_disks.disks_in_points(Access(repository=access.repository), told.append)
    assert told == []
    assert {name: each["path"] for name, each in found.items()} == {
        "web01": f"web01@{newest}#disk0",
        "db01": f"db01@{other}#disk0",
    }
    assert found["web01"]["restore_point"]["id"] == newest
    assert found["web01"]["size"] == 1 << 20
