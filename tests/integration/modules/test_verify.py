# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_verify as a playbook meets it: red when something rots, and the next backup heals it."""

from __future__ import annotations

from pathlib import Path

import pytest

LEVELS = ["list", "packs", "data", "restore"]


@pytest.fixture
def rotten(modules, disk, repository):
    """A backup in whose largest pack one bit is wrong; the pack, and what it was."""
    modules.vmdk_backup(path=disk, name="first", **repository)
    pack = max(packs(repository), key=lambda path: path.stat().st_size)
    data = pack.read_bytes()
    pack.write_bytes(data[:5000] + bytes([data[5000] ^ 4]) + data[5001:])
    return pack, data


def packs(repository):
    return sorted(Path(repository["repository"]).glob("packs/*/*"))


@pytest.mark.parametrize("level", LEVELS)
def test_a_sound_repository(modules, disk, repository, level):
    modules.vmdk_backup(path=disk, **repository)
    result = modules.vmdk_verify(level=level, **repository)
    assert (result["ok"], result["findings"], result["changed"]) == (True, [], False)
    assert result["checked"]["objects"] > 3 and result["checked"]["bytes"] > 1000
    assert "sample" not in result


def test_damage_fails_the_task_and_says_whom_it_hits(modules, repository, rotten):
    failed = modules.fail("vmdk_verify", level="data", **repository)
    (finding,) = failed["findings"]
    assert finding["object"].endswith(rotten[0].name) and finding["kind"] == "pack-damaged"
    (hit,) = finding["hits"]
    assert hit["length"] == 1 << 20 and hit["disk"] == "disk0"
    assert rotten[0].name in failed["msg"] and "1 restore points cannot" in failed["msg"]
    assert not failed["changed"] and not failed["quarantined"]


def test_the_playbook_may_decide(modules, repository, rotten):
    result = modules.vmdk_verify(fail_on_damage=False, **repository)
    assert not result["ok"] and len(result["findings"]) == 1


def test_quarantine_and_the_next_backup_heal_it(
    modules, disk, repository, rotten, tmp_path, content_by_qemu
):
    wish = {"level": "data", "quarantine": True, "fail_on_damage": False, **repository}
    foretold = modules.vmdk_verify(check_mode=True, **wish)
    done = modules.vmdk_verify(**wish)
    assert foretold["changed"] and done["changed"]
    assert foretold["diff"] == done["diff"]
    assert done["quarantined"] == [f"quarantine/{rotten[0].name}"]
    assert not modules.vmdk_verify(**wish)["changed"]
    modules.vmdk_backup(path=disk, **repository)
    assert modules.vmdk_verify(level="restore", **repository)["ok"]
    modules.vmdk_restore(restore_point="web01@first", dest=tmp_path / "back.vmdk", **repository)
    assert content_by_qemu(tmp_path / "back.vmdk") == content_by_qemu(disk)


def test_it_was_a_cable(modules, repository, rotten):
    wish = {"quarantine": True, "fail_on_damage": False, **repository}
    modules.vmdk_verify(**wish)
    rotten[0].write_bytes(rotten[1])
    result = modules.vmdk_verify(**wish)
    assert result["ok"] and result["lifted"] == [f"quarantine/{rotten[0].name}"]
    assert not modules.vmdk_verify(**wish)["changed"]


def test_check_mode_writes_nothing(modules, repository, rotten, tmp_path, digest_of_tree):
    before = digest_of_tree(repository["repository"])
    modules.vmdk_verify(check_mode=True, quarantine=True, fail_on_damage=False, **repository)
    assert digest_of_tree(repository["repository"]) == before


def test_a_lost_repo_json_is_put_back(modules, disk, repository):
    modules.vmdk_backup(path=disk, **repository)
    path = Path(repository["repository"]) / "repo.json"
    data = path.read_bytes()
    path.unlink()
    result = modules.vmdk_verify(level="list", quarantine=True, fail_on_damage=False, **repository)
    assert result["mended"] == ["repo.json"]
    assert path.read_bytes() == data


def test_one_restore_point_and_a_sample(modules, disk, repository):
    for name in ("first", "second", "third"):
        modules.vmdk_backup(path=disk, name=name, **repository)
    wish = {"level": "restore", "sample": "2", "seed": 7, **repository}
    result = modules.vmdk_verify(**wish)
    assert (result["sample"]["of"], len(result["sample"]["restore_points"])) == (3, 2)
    assert modules.vmdk_verify(**wish)["sample"] == result["sample"]
    one = modules.vmdk_verify(level="restore", restore_point="web01@second", **repository)
    assert one["checked"]["bytes"] < result["checked"]["bytes"]


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"level": "list", "sample": "5%"}, "looks at everything"),
        ({"sample": "0"}, "sample '0' is not possible"),
        ({"sample": "101%"}, "sample '101%' is not possible"),
        ({"sample": "a few"}, "sample 'a few' is not possible"),
        ({"restore_point": "web01@never"}, "no restore point answers"),
    ],
)
def test_wishes_that_cannot_be(modules, disk, repository, wish, text):
    modules.vmdk_backup(path=disk, **repository)
    assert text in modules.fail("vmdk_verify", **wish, **repository)["msg"]
