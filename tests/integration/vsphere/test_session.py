# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session outlives what long work meets, and ends with its user."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import (
    session as sessions,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import wire
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.collect import (
    collect,
    properties,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    find_vm,
    take_snapshot,
)


class TestExpiry:
    def test_in_the_middle_of_reading(self, session, trusted):
        rows = collect(session, vim.VirtualMachine, ["name"], page=2)
        names = [next(rows)[1]["name"]]
        trusted.expire_sessions()
        names += [values["name"] for _vm, values in rows]
        with trusted.connect() as client:
            root = client.content.rootFolder
            view = client.content.viewManager.CreateContainerView(root, [vim.VirtualMachine], True)
            assert sorted(names) == sorted(vm.name for vm in view.view)

    def test_of_a_request_that_changes_something_does_it_once(self, session, trusted):
        vm = find_vm(session, "web01")
        trusted.expire_sessions()
        take_snapshot(session, vm)
        tree = properties(session, vm, ["snapshot"])["snapshot"].rootSnapshotList
        assert [(node.name, len(node.childSnapshotList)) for node in tree] == [("a", 0)]

    def test_is_healed_once_for_all_threads(self, session, trusted):
        vms = [vm for vm, _values in collect(session, vim.VirtualMachine, ["name"])] * 4
        trusted.expire_sessions()
        trusted.forget_calls()
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda vm: properties(session, vm, ["name"]), vms))
        assert len({values["name"] for values in found}) == len(vms) / 4
        assert trusted.calls()["Login"] == 1

    def test_with_a_password_that_has_changed_locks_no_account(self, session, trusted):
        vm = find_vm(session, "web01")
        trusted.rule("Login", fault="InvalidLogin", times=0)
        trusted.expire_sessions()
        trusted.forget_calls()
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(properties, session, vm, ["name"]) for _number in range(16)]
        assert {type(each.exception()) for each in asked} == {errors.AccessDenied}
        assert trusted.calls()["Login"] == 1

    def test_while_waiting_for_a_task(self, session, trusted):
        trusted.mode(stun=0.5)
        vm = find_vm(session, "web01")
        trusted.rule("RetrievePropertiesEx", nth=2, expire_session=True)
        assert isinstance(take_snapshot(session, vm), vim.vm.Snapshot)

    def test_does_not_come_while_the_session_idles(self, target, trusted, monkeypatch):
        monkeypatch.setattr(sessions, "KEEP_ALIVE", 0.1)
        trusted.forget_calls()
        with open_session(target):
            deadline = time.monotonic() + 30
            while trusted.calls().get("CurrentTime", 0) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
        assert trusted.calls()["CurrentTime"] >= 2


class TestDroppedConnections:
    def test_do_not_stop_reading(self, session, trusted):
        trusted.rule("RetrievePropertiesEx", drop=True)
        assert find_vm(session, "web01")

    def test_do_not_stop_reading_in_the_middle(self, session, trusted):
        rows = collect(session, vim.VirtualMachine, ["name"], page=2)
        trusted.rule("ContinueRetrievePropertiesEx", drop="after")
        assert sorted(values["name"] for _vm, values in rows) == [
            "db01",
            "debian-template",
            "files01",
            "proxy01",
            "web01",
        ]

    def test_stop_what_may_have_been_done(self, session, trusted):
        vm = find_vm(session, "web01")
        trusted.rule("CreateSnapshot_Task", drop="after")
        with pytest.raises(errors.ServerUnreachable, match="the connection was dropped"):
            take_snapshot(session, vm)
        assert trusted.calls()["CreateSnapshot_Task"] == 1

    def test_after_an_answer_that_never_comes(self, session, trusted, monkeypatch):
        vm = find_vm(session, "web01")
        session._stub.DropConnections()  # a new one has the new time-out
        monkeypatch.setattr(wire.Connection, "answer_timeout", 1.0)
        trusted.rule("CreateSnapshot_Task", delay=4)
        with pytest.raises(errors.ServerUnreachable, match="no answer in time"):
            take_snapshot(session, vm)


def alive(trusted):
    """How many sessions vCenter keeps, once all that was on its way has come."""
    time.sleep(1)
    trusted.wait_until_idle()
    return trusted.state()["sessions"]["alive"]


class TestClosing:
    """Sessions that stay behind count towards a limit of vCenter's."""

    def test_while_the_session_is_kept_alive(self, target, trusted, monkeypatch):
        monkeypatch.setattr(sessions, "KEEP_ALIVE", 0.02)
        monkeypatch.setattr(sessions, "LAST_QUESTION", 0.01)
        with open_session(target):
            trusted.rule("CurrentTime", delay=0.5)
            time.sleep(0.2)
        assert alive(trusted) == 0

    def test_while_somebody_logs_in_again(self, session, trusted):
        vm = find_vm(session, "web01")
        trusted.expire_sessions()
        trusted.rule("Login", delay=0.5)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(properties, session, vm, ["name"])
            time.sleep(0.2)
            session.close()
            assert isinstance(asked.exception(), errors.DiskError | None)
        assert alive(trusted) == 0

    def test_ends_it_for_good(self, session, trusted):
        vm = find_vm(session, "web01")
        session.close()
        with pytest.raises(errors.VSphereFault, match="this session was closed"):
            properties(session, vm, ["name"])
        assert alive(trusted) == 0


class TestSecrets:
    def test_are_in_no_repr(self, session, target):
        assert target.password not in repr(target) + repr(session) + repr(vars(session))

    def test_and_the_session_ends_with_its_user(self, target, trusted):
        with open_session(target):
            assert trusted.state()["sessions"]["alive"] == 1
        assert trusted.state()["sessions"]["alive"] == 0
