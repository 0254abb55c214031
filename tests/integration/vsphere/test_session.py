# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session outlives what long work meets, and says in one message what it cannot help."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import (
    session as sessions,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import tasks, wire
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.collect import (
    collect,
    properties,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.errors import (
    fault_name,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)


def machine(session, name="web01"):
    """The VM of that name."""
    rows = collect(session, vim.VirtualMachine, ["name"])
    return next(vm for vm, values in rows if values["name"] == name)


def refused(target, **changes):
    """What logging in fails with."""
    with pytest.raises(errors.DiskError) as caught:
        open_session(dataclasses.replace(target, **changes))
    return caught.value


def snapshot(session, vm):
    """Wait for one."""
    task = session.call(lambda: vm.CreateSnapshot_Task("a", "", False, False), "take a snapshot")
    return tasks.wait(session, task, "take a snapshot", "web01")


@pytest.fixture
def silent_port():
    """Where somebody listens, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Plain(http.server.BaseHTTPRequestHandler):
    """A web server without encryption that is no proxy either."""

    def do_CONNECT(self):
        self.send_error(403, "Not through here")

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def plain_port():
    """Where that one listens."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Tunnel(threading.Thread):
    """A proxy that does what CONNECT asks for, and counts."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.asked = []

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self.server.accept()[:1]).start()

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        where = head.split()[1].decode()
        self.asked.append(where)
        host, _other, port = where.rpartition(":")
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self._pump, args=(server, client))
            back.start()
            self._pump(client, server)
            back.join()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def tunnel():
    proxy = Tunnel()
    proxy.start()
    yield proxy
    proxy.server.close()


class TestOneClearMessage:
    def test_for_a_wrong_password(self, target):
        error = refused(target, password="hunter2-is-wrong")
        assert isinstance(error, errors.AccessDenied)
        assert f"cannot log in as {target.username}: wrong user name or password" in str(error)
        assert "hunter2-is-wrong" not in str(error) + repr(error) + repr(error.facts())

    def test_for_an_untrusted_certificate(self, target, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        error = refused(target)
        assert isinstance(error, errors.UntrustedCertificate)
        pem = ssl.get_server_certificate((target.hostname, target.port))
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        assert digest in str(error).replace(":", "").lower()
        assert "REQUESTS_CA_BUNDLE" in error.hint

    def test_for_a_certificate_of_another_name(self, target, monkeypatch):
        # any name that leads to the simulator but is not in its certificate
        real = socket.create_connection
        monkeypatch.setattr(
            socket, "create_connection", lambda to, *rest: real(("127.0.0.1", to[1]), *rest)
        )
        error = refused(target, hostname="vcenter.example.com")
        assert isinstance(error, errors.UntrustedCertificate)
        assert "vcenter.example.com" in str(error)
        assert "a name that its certificate is for" in error.hint

    def test_for_a_port_where_nobody_listens(self, target, closed_port):
        error = refused(target, port=closed_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert f"127.0.0.1:{closed_port}: cannot connect: nothing listens there" in str(error)

    def test_for_a_host_that_does_not_answer(self, target, silent_port, monkeypatch):
        monkeypatch.setattr(wire, "CONNECT_TIMEOUT", 0.3)
        error = refused(target, port=silent_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert "no answer in time" in str(error)

    def test_for_a_name_that_does_not_exist(self, target):
        error = refused(target, hostname="vcenter.invalid")
        assert isinstance(error, errors.ServerUnreachable)
        assert "the name vcenter.invalid cannot be resolved" in str(error)

    def test_for_a_port_that_is_not_encrypted(self, target, plain_port):
        error = refused(target, port=plain_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert "no encrypted connection" in str(error)

    def test_for_something_that_is_no_vcenter(self, target, trusted):
        trusted.rule("GET /sdk", status=404)
        error = refused(target)
        assert isinstance(error, errors.ServerUnreachable)
        assert "this is no vCenter or ESXi host" in str(error)

    def test_for_a_proxy_that_refuses(self, target, plain_port):
        error = refused(target, proxy_host="127.0.0.1", proxy_port=plain_port)
        assert isinstance(error, errors.ServerUnreachable)
        assert "the proxy 127.0.0.1 refuses" in str(error)
        assert "403" in str(error)

    def test_for_a_missing_privilege(self, session, trusted):
        trusted.mode(denied=["VirtualMachine.State.CreateSnapshot"])
        vm = machine(session)
        with pytest.raises(errors.AccessDenied) as caught:
            snapshot(session, vm)
        text = str(caught.value)
        assert "lacks the privilege VirtualMachine.State.CreateSnapshot" in text
        assert f'on VirtualMachine "web01" ({vm._moId})' in text
        assert "role" in caught.value.hint

    def test_where_logging_in_again_does_not_help(self, session, trusted):
        trusted.rule("CurrentTime", fault="NotAuthenticated", times=0)
        instance = vim.ServiceInstance("ServiceInstance", session.content.rootFolder._stub)
        with pytest.raises(errors.AccessDenied, match="logging in again did not help"):
            session.call(instance.CurrentTime, "ask the time")


class TestCertificates:
    def test_none_is_asked_for_without_validation(self, target, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
        with open_session(dataclasses.replace(target, validate_certs=False)) as session:
            assert session.content.about.apiType == "VirtualCenter"

    def test_what_requests_trusts_is_trusted(self, target, trusted, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted.ca_file)
        with open_session(target) as session:
            assert session.content.about.apiType == "VirtualCenter"

    def test_through_a_proxy_it_is_the_vcenters(self, target, tunnel, monkeypatch):
        proxied = dataclasses.replace(target, proxy_host="127.0.0.1", proxy_port=tunnel.port)
        with open_session(proxied) as session:
            assert machine(session)
        assert set(tunnel.asked) == {f"127.0.0.1:{target.port}"}
        monkeypatch.delenv("SSL_CERT_FILE")
        assert isinstance(refused(proxied), errors.UntrustedCertificate)


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
        vm = machine(session)
        trusted.expire_sessions()
        snapshot(session, vm)
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

    def test_while_waiting_for_a_task(self, session, trusted):
        trusted.mode(stun=0.5)
        vm = machine(session)
        trusted.rule("RetrievePropertiesEx", nth=2, expire_session=True)
        assert isinstance(snapshot(session, vm), vim.vm.Snapshot)

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
        assert machine(session)

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
        vm = machine(session)
        trusted.rule("CreateSnapshot_Task", drop="after")
        with pytest.raises(errors.ServerUnreachable, match="the connection was dropped"):
            snapshot(session, vm)
        assert trusted.calls()["CreateSnapshot_Task"] == 1

    def test_after_an_answer_that_never_comes(self, session, trusted, monkeypatch):
        vm = machine(session)
        session._stub.DropConnections()  # a new one has the new time-out
        monkeypatch.setattr(wire.Connection, "answer_timeout", 0.5)
        trusted.rule("CreateSnapshot_Task", delay=3)
        with pytest.raises(errors.ServerUnreachable, match="no answer in time"):
            snapshot(session, vm)


FAULTS = {
    "FileNotFound": errors.DiskNotFound,
    "FileAlreadyExists": errors.DiskExists,
    "FileLocked": errors.DiskInUse,
    "CannotAccessFile": errors.DiskInUse,
    "NoDiskSpace": errors.NoSpace,
    "TaskInProgress": errors.DiskInUse,
    "ConcurrentAccess": errors.DiskInUse,
    "InvalidState": errors.VSphereFault,
    "InvalidPowerState": errors.VSphereFault,
    "GenericVmConfigFault": errors.VSphereFault,
    "ApplicationQuiesceFault": errors.VSphereFault,
    "HostNotConnected": errors.VSphereFault,
    "TooManySnapshotLevels": errors.VSphereFault,
    "ManagedObjectNotFound": errors.ObjectNotFound,
    "NotSupported": errors.UnsupportedDisk,
    "RestrictedVersion": errors.AccessDenied,
    "SystemError": errors.VSphereFault,
}
# What some of them must tell.
DETAILS = {
    "TaskInProgress": '<task type="Task">task-1</task>',
    "InvalidPowerState": "<existingState>poweredOn</existingState>",
    "ManagedObjectNotFound": '<obj type="VirtualMachine">vm-1</obj>',
}


class TestFaults:
    @pytest.mark.parametrize("as_task", [False, True], ids=["at once", "of a task"])
    def test_each_is_told(self, session, trusted, as_task):
        vm = machine(session)
        for fault, expected in FAULTS.items():
            detail = DETAILS.get(fault, "")
            trusted.rule("CreateSnapshot_Task", fault=fault, task=as_task, detail=detail)
            with pytest.raises(errors.DiskError) as caught:
                snapshot(session, vm)
            trusted.clear_rules()
            assert caught.type is expected, fault
            assert fault_name(caught.value) == fault
            assert "cannot take a snapshot" in str(caught.value)
            assert f"({fault})" in str(caught.value)

    def test_objects_that_are_gone_are_left_out(self, session):
        vm = machine(session)
        gone = vim.VirtualMachine("vm-99999", session.content.rootFolder._stub)
        rows = collect(session, vim.VirtualMachine, ["name"], objects=[gone, vm])
        assert [values["name"] for _vm, values in rows] == ["web01"]

    def test_an_object_that_is_gone(self, session):
        vm = vim.VirtualMachine("vm-99999", session.content.rootFolder._stub)
        with pytest.raises(errors.ObjectNotFound):
            properties(session, vm, ["name"])


class TestTasks:
    def test_of_disks_have_results_too(self, session, trusted):
        """Their `info` names an entity that pyVmomi refuses."""
        manager = session.content.virtualDiskManager
        datacenter = session.content.rootFolder.childEntity[0]
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="thin", adapterType="lsiLogic", capacityKb=1024
        )
        path = "[datastore1] web01/new.vmdk"

        def create():
            return manager.CreateVirtualDisk_Task(path, datacenter, spec)

        assert tasks.wait(session, session.call(create), "create a disk", path) == path
        with pytest.raises(errors.DiskExists) as caught:
            tasks.wait(session, session.call(create), "create a disk", path)
        assert str(caught.value).startswith(f"{path}: cannot create a disk at 127.0.0.1: ")

    def test_progress_is_told_once_each(self, session):
        manager, vm = session.content.taskManager, machine(session)
        task = manager.CreateTask(vm, "com.vmware.govmomi.simulator.test", None, True).task
        task.SetTaskState("running", None, None)
        task.UpdateProgress(30)
        told = []

        def heard(percent):
            told.append(percent)
            if len(told) == 1:
                task.UpdateProgress(70)
            else:
                task.SetTaskState("success", "done", None)

        assert tasks.wait(session, task, progress=heard) == "done"
        assert told == [30, 70]

    def test_an_interrupt_cancels(self, session, trusted, monkeypatch):
        trusted.mode(stun=1.0)
        vm = machine(session)
        task = session.call(lambda: vm.CreateSnapshot_Task("a", "", False, False))

        def interrupt(_seconds):
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(tasks.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tasks.wait(session, task)
        assert trusted.calls()["CancelTask"] == 1
        assert properties(session, task, ["info.state"])["info.state"] in ("success", "error")


class TestSecrets:
    def test_are_in_no_repr(self, session, target):
        assert target.password not in repr(target) + repr(session) + repr(vars(session))

    def test_and_the_session_ends_with_its_user(self, target, trusted):
        with open_session(target):
            assert trusted.state()["sessions"]["alive"] == 1
        assert trusted.state()["sessions"]["alive"] == 0
