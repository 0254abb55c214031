# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_backup with retain: who asks gets a point that stays, or is told why not."""

from __future__ import annotations

import datetime

import pytest

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def there(modules, tmp_path):
    url = str(tmp_path / "repository")
    modules.vmdk_repository(url=url, passphrase=PASSPHRASE)
    return {"repository": url, "passphrase": PASSPHRASE}


def test_the_result_says_until_when(modules, make_disk, there):
    point = modules.vmdk_backup(path=make_disk(), retain="30d", **there)["restore_point"]
    until = datetime.datetime.fromisoformat(point["retain_until"].replace("Z", "+00:00"))
    wanted = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)
    assert abs((until - wanted).total_seconds()) < 600


def test_each_run_makes_a_point_that_stays_longer(modules, make_disk, there):
    disk = make_disk()
    first = modules.vmdk_backup(path=disk, retain="30d", **there)
    second = modules.vmdk_backup(path=disk, retain="31d", **there)
    assert first["changed"] and second["changed"]
    assert second["restore_point"]["retain_until"] > first["restore_point"]["retain_until"]


def test_a_young_point_will_do_if_it_stays(modules, make_disk, there):
    disk = make_disk()
    modules.vmdk_backup(path=disk, **there)
    wish = {"path": disk, "retain": "30d", "max_age": "1h", **there}
    assert modules.vmdk_backup(**wish)["changed"]
    assert not modules.vmdk_backup(**wish)["changed"]


def test_a_name_that_a_point_has_which_does_not_stay_is_refused(modules, make_disk, there):
    disk = make_disk()
    modules.vmdk_backup(path=disk, name="monday", **there)
    failed = modules.fail("vmdk_backup", path=disk, name="monday", retain="30d", **there)
    assert "'monday' already, and that is not retained" in failed["msg"]


def test_a_name_that_a_retained_point_has_will_do(modules, make_disk, there):
    wish = {"path": make_disk(), "name": "monday", "retain": "30d", **there}
    assert modules.vmdk_backup(**wish)["changed"]
    assert not modules.vmdk_backup(**wish)["changed"]


def test_a_bucket_without_object_lock_is_refused_in_check_mode_too(modules, make_disk, s3_url):
    modules.vmdk_repository(url=s3_url, passphrase=PASSPHRASE)
    wish = {"path": make_disk(), "repository": s3_url, "passphrase": PASSPHRASE, "retain": "30d"}
    for check_mode in (True, False):
        failed = modules.fail("vmdk_backup", check_mode=check_mode, **wish)
        assert "object lock" in failed["msg"]
