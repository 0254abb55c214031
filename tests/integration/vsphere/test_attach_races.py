# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that somebody else gets while vmdk_attach is at work, and disks that jobs are making."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskInUse,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.managed import attach_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.managed.attach_disk import (
    AttachRequest,
    plan_attached,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)


@pytest.fixture
def session(lab):
    """web01 is off, like files01: of running machines vSphere sees to it itself."""
    lab.power("web01", on=False)
    vcenter = lab.vcenter
    target = VCenter(vcenter.hostname, vcenter.username, vcenter.password, port=vcenter.port)
    with open_session(target) as opened:
        yield opened


@pytest.mark.parametrize("sharing", [None, "multiwriter"])
def test_a_disk_that_somebody_else_got_meanwhile_is_given_back(lab, session, sharing):
    path, before = lab.new_disk(), lab.disks()
    plan = plan_attached(session, AttachRequest(path, "web01", sharing=sharing))
    lab.take(path)
    with pytest.raises(DiskInUse, match="files01"):
        plan.run(check_mode=False)
    assert lab.disks() == before
    assert path in lab.disks("files01")


def test_a_first_class_disk_is_given_back_as_well(lab, session):
    lab.first_class_disk("race")
    before, reference = lab.disks(), "[datastore1] fcd:race"
    path = lab.modules.vmdk_info(path=reference)["disk"]["chain"][0]
    plan = plan_attached(session, AttachRequest(reference, "web01"))
    lab.take(path)
    with pytest.raises(DiskInUse, match="files01"):
        plan.run(check_mode=False)
    assert lab.disks() == before


def test_a_disk_that_cannot_be_given_back_is_told(lab, session, monkeypatch):
    """Two machines have it then, and the operator must know."""
    path = lab.new_disk()
    plan = plan_attached(session, AttachRequest(path, "web01"))
    lab.take(path)

    def broken(*_arguments):
        raise DiskError("the host does not answer")

    monkeypatch.setattr(attach_disk, "detach", broken)
    with pytest.raises(DiskInUse, match="files01") as caught:
        plan.run(check_mode=False)
    assert "could not be detached from web01 again" in caught.value.hint
    assert "the host does not answer" in caught.value.hint
    assert path in lab.disks()


def test_who_shares_it_as_well_is_no_matter(lab, session):
    path = lab.new_disk()
    plan = plan_attached(session, AttachRequest(path, "web01", sharing="multiwriter"))
    lab.take(path, sharing="sharingMultiWriter")
    assert plan.run(check_mode=False)["changed"]
    assert path in lab.disks()


@pytest.mark.parametrize("mark", ["new-0badcafe", "old", "sent-0badcafe"])
def test_what_a_job_works_on_is_not_attached_but_may_be_detached(lab, mark):
    path = lab.new_disk().replace(".vmdk", f".vdisk-{mark}.vmdk")
    lab.new_disk_at(path)
    assert "only a job gives" in lab.refused(path, "files01")
    lab.take(path)
    assert lab.detach(path, "files01")["changed"]
    assert path not in lab.disks("files01")
