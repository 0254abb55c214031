# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain client: pyVmomi and nothing of ours, for tests that look with other eyes."""

from __future__ import annotations

import contextlib
import itertools
import ssl
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .fixtures import Vcenter, simulator

if TYPE_CHECKING:
    from pyVmomi import vim


class Client:
    def __init__(self, vcenter: Vcenter, service: Any) -> None:
        self.vcenter = vcenter
        self.service = service
        self.content = service.content
        self._unused = itertools.count(10)

    def all(self, kind: Any) -> list[Any]:
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], True)
        try:
            return list(view.view)
        finally:
            view.Destroy()

    def machine(self, name: str) -> vim.VirtualMachine:
        from pyVmomi import vim

        return next(each for each in self.all(vim.VirtualMachine) if each.name == name)

    def any_machine(self) -> vim.VirtualMachine:
        """One that no other test has had: running, with one empty disk of 16 MiB."""
        return self.machine(f"many{next(self._unused):05}")

    @property
    def datacenter(self) -> vim.Datacenter:
        from pyVmomi import vim

        return self.all(vim.Datacenter)[0]

    @contextlib.contextmanager
    def mode(self, **changes: Any) -> Iterator[None]:
        before = self.vcenter.state()["mode"]
        self.vcenter.mode(**changes)
        try:
            yield
        finally:
            self.vcenter.mode(**{name: before[name] for name in changes})

    def write(self, vm: vim.VirtualMachine, offset: int, data: bytes, disk: int = 2000) -> None:
        self.vcenter.guest_write(vm.name, disk, offset, data)

    def read(self, vm: vim.VirtualMachine, disk: int = 2000) -> bytes:
        """The whole disk, as the guest sees it."""
        size = next(each for each in disks(vm) if each.key == disk).capacityInBytes
        return self.vcenter.guest_read(vm.name, disk, 0, size)

    def download(self, url: str) -> bytes:
        tls = ssl.create_default_context(cafile=self.vcenter.ca_file)
        with urllib.request.urlopen(url, context=tls, timeout=60) as answer:
            return answer.read()

    def upload(self, url: str, data: bytes) -> None:
        tls = ssl.create_default_context(cafile=self.vcenter.ca_file)
        request = urllib.request.Request(url, data, method="PUT")
        urllib.request.urlopen(request, context=tls, timeout=60).close()


@contextlib.contextmanager
def client(*arguments: str) -> Iterator[Client]:
    with simulator(*arguments) as vcenter, vcenter.connect() as service:
        yield Client(vcenter, service)


def wait(task: Any) -> Any:
    """The task's result; its fault is raised."""
    from pyVim.task import WaitForTask

    WaitForTask(task)
    return task.info.result


def disks(of: Any) -> list[Any]:
    """Of a machine, or of a snapshot."""
    from pyVmomi import vim

    return [
        each for each in of.config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk)
    ]


def track(vm: Any) -> None:
    """Change tracking on, and begun."""
    from pyVmomi import vim

    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=True)))
    snapshot(vm)
    wait(vm.RemoveAllSnapshots_Task())


def snapshot(vm: Any, name: str = "a") -> Any:
    return wait(vm.CreateSnapshot_Task(name, "", False, False))


def change_id(of: Any, disk: int = 0) -> str | None:
    return disks(of)[disk].backing.changeId


def chain(vm: Any, disk: int = 0) -> list[str]:
    """Names of its files, top … base."""
    names, backing = [], disks(vm)[disk].backing
    while backing is not None:
        names.append(backing.fileName)
        backing = backing.parent
    return names


def areas(vm: Any, at: Any, since: str, key: int = 2000) -> list[tuple[int, int]]:
    """All pages of QueryChangedDiskAreas."""
    found, start = [], 0
    capacity = next(each for each in disks(at or vm) if each.key == key).capacityInBytes
    while start < capacity:
        page = vm.QueryChangedDiskAreas(at, key, start, since)
        assert page.startOffset == start and page.length > 0
        found += [(each.start, each.length) for each in page.changedArea or []]
        start += page.length
    return found
