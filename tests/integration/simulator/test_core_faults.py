# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong when a rule says so, and nothing else."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("pyVmomi")

from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl


@pytest.fixture
def vcenter(shared_vcenter):
    return shared_vcenter


@pytest.fixture
def client(vcenter):
    with vcenter.connect() as client:
        yield client


@pytest.fixture
def machine(client):
    view = client.content.viewManager.CreateContainerView(
        client.content.rootFolder, [vim.VirtualMachine], True
    )
    return next(each for each in view.view if each.name == "files01")


def test_a_fault_at_the_nth_call_only(vcenter, client):
    vcenter.rule("CurrentTime", nth=2, fault="HostCommunication")
    assert client.CurrentTime()
    with pytest.raises(vmodl.fault.HostCommunication):
        client.CurrentTime()
    assert client.CurrentTime()


def test_a_fault_as_often_as_asked(vcenter, client):
    vcenter.rule("CurrentTime", times=2, fault="InvalidState")
    for _other in range(2):
        with pytest.raises(vim.fault.InvalidState):
            client.CurrentTime()
    assert client.CurrentTime()


def test_a_fault_for_ever_until_the_rules_are_cleared(vcenter, client):
    vcenter.rule("CurrentTime", times=0, fault="InvalidState")
    for _other in range(5):
        with pytest.raises(vim.fault.InvalidState):
            client.CurrentTime()
    vcenter.clear_rules()
    assert client.CurrentTime()


def test_a_missing_privilege_is_named(vcenter, client):
    vcenter.rule("CurrentTime", fault="NoPermission", privilege="System.Read")
    with pytest.raises(vim.fault.NoPermission) as denied:
        client.CurrentTime()
    assert denied.value.privilegeId == "System.Read"


def test_a_role_without_a_privilege_is_refused_what_wants_it(vcenter, machine):
    vcenter.mode(denied=["VirtualMachine.Config.ChangeTracking"])
    with pytest.raises(vim.fault.NoPermission) as denied:
        machine.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=True))
    assert denied.value.privilegeId == "VirtualMachine.Config.ChangeTracking"
    assert denied.value.object == machine
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="that is allowed")))


def test_has_privilege_tells_what_is_denied(vcenter, client, machine):
    vcenter.mode(denied=["VApp.Export"])
    [answer] = client.content.authorizationManager.HasPrivilegeOnEntities(
        [machine], "", ["VApp.Export", "VApp.Import"]
    )
    granted = {each.privId: each.isGranted for each in answer.privAvailability}
    assert granted == {"VApp.Export": False, "VApp.Import": True}


def test_a_task_can_fail_after_the_call_was_taken(vcenter, machine):
    vcenter.rule("ReconfigVM_Task", task=True, fault="TaskInProgress")
    task = machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="never"))
    with pytest.raises(vim.fault.TaskInProgress):
        WaitForTask(task)
    assert machine.config.annotation != "never"


def test_a_dropped_call_was_not_carried_out(vcenter, machine):
    vcenter.rule("ReconfigVM_Task", drop=True, times=0)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="never"))
    assert machine.config.annotation != "never"


def test_a_call_whose_answer_is_lost_was_carried_out(vcenter, machine):
    vcenter.rule("ReconfigVM_Task", drop="after", times=0)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="done"))
    vcenter.clear_rules()
    deadline = time.monotonic() + 60
    while machine.config.annotation != "done" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert machine.config.annotation == "done"


def test_a_call_can_be_slow_while_others_are_not(vcenter, client):
    vcenter.rule("CurrentTime", delay=2)
    vcenter.forget_calls()
    with vcenter.connect() as other, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.CurrentTime)
        while not vcenter.calls().get("CurrentTime"):
            time.sleep(0.01)
        other.CurrentTime()
        assert not slow.done()
        slow.result()


def test_a_session_can_expire_at_a_call(vcenter, client):
    vcenter.rule("CurrentTime", nth=2, expire_session=True)
    client.CurrentTime()
    for _other in range(2):
        with pytest.raises(vim.fault.NotAuthenticated):
            client.CurrentTime()


def test_a_pattern_counts_all_calls_but_the_excepted(vcenter, client):
    vcenter.rule("*", nth=2, fault="InvalidState", except_methods=["RetrieveServiceContent"])
    client.RetrieveContent()
    client.CurrentTime()
    client.RetrieveContent()
    with pytest.raises(vim.fault.InvalidState):
        client.CurrentTime()


def test_calls_are_counted(vcenter, client):
    vcenter.forget_calls()
    client.CurrentTime()
    client.CurrentTime()
    assert vcenter.calls()["CurrentTime"] == 2


@pytest.mark.parametrize("rule", [{}, {"drop": "sometimes"}, {"fault": "InvalidState", "nht": 2}])
def test_what_is_no_rule_is_refused(vcenter, rule):
    with pytest.raises(ValueError, match="POST rule"):
        vcenter.rule("CurrentTime", **rule)


def test_an_unknown_mode_is_refused_with_the_known_ones(vcenter):
    with pytest.raises(ValueError, match=r"no mode rnages; there are .*ranges"):
        vcenter.mode(rnages=False)
