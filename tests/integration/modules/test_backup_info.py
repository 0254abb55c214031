# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_backup_info: what restore points take."""

from __future__ import annotations


def test_sizes_tell_what_a_point_has_alone(modules, make_disk, repository):
    disk = make_disk("web01.vmdk", seed=1)
    modules.vmdk_backup(path=disk, name="first", **repository)
    first = modules.vmdk_backup_info(sizes=True, **repository)
    modules.vmdk_backup(path=disk, name="second", **repository)
    both = modules.vmdk_backup_info(sizes=True, **repository)
    (alone,) = first["restore_points"]
    assert alone["unique"] > 0 and alone["shared"] == 0
    assert alone["added"] > alone["unique"]  # tables of packs belong to nobody
    assert alone["logical"] == alone["size"]
    # The second is the same disk: all that the first had alone is shared now.
    for point in both["restore_points"]:
        assert (point["unique"], point["shared"]) == (0, alone["unique"])
    assert both["sizes"]["shared"] == alone["unique"] and both["sizes"]["unique"] == 0
    assert both["sizes"]["stored"] >= both["sizes"]["shared"]


def test_without_sizes_nothing_is_measured(modules, make_disk, repository):
    modules.vmdk_backup(path=make_disk("web01.vmdk"), **repository)
    (point,) = modules.vmdk_backup_info(**repository)["restore_points"]
    assert "added" in point and "unique" not in point and "shared" not in point
