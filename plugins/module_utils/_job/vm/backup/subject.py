# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The machine that is to be backed up: who it is, and which of its disks are meant."""

from __future__ import annotations

import dataclasses
import typing as t

from ...._device.errors import InvalidRequest
from ...._repository.write.source import Source, stable_id
from ...._vsphere.connection.collect import properties
from ...._vsphere.connection.names import plain
from ...._vsphere.inventory.named_vm import find_vm
from ...._vsphere.inventory.protect import PATHS, examine

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...._vsphere.connection.session import Session
    from ...._vsphere.inventory.protect import DiskReport, Report

_MORE = (
    "name", "config.instanceUuid", "config.files.vmPathName", "config.extraConfig",
    "config.changeVersion", "config.keyId", "config.guestId", "runtime.host",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Subject:
    """A virtual machine as it was when it was looked at. `values` are its properties by path."""

    session: Session
    vm: t.Any
    name: str
    values: dict[str, t.Any]
    report: Report
    host: str | None
    cluster: str | None

    @property
    def is_template(self) -> bool:
        return bool(self.values.get("config.template"))

    @property
    def is_windows(self) -> bool:
        return str(self.values.get("config.guestId", "")).lower().startswith("win")

    @property
    def is_encrypted(self) -> bool:
        disks = self.values.get("config.hardware.device", ())
        keys = [getattr(getattr(disk, "backing", None), "keyId", None) for disk in disks]
        return self.values.get("config.keyId") is not None or any(key is not None for key in keys)

    @property
    def source_id(self) -> str:
        """The same machine has the same one in every run, also under another name."""
        return stable_id(self.session.identity, self.vm._moId, self._instance_uuid)

    @property
    def _instance_uuid(self) -> str | None:
        return self.values.get("config.instanceUuid")

    def source(self, **more: t.Any) -> Source:
        """For a restore point; facts that are None are left out."""
        facts = {
            "moref": str(self.vm._moId),
            "instance_uuid": self._instance_uuid,
            "vcenter": self.session.identity,
            "vmx": self.values.get("config.files.vmPathName"),
            "host": self.host,
            "cluster": self.cluster,
            "power_state": self.values.get("runtime.powerState"),
            "template": self.is_template or None,
            **more,
        }
        known = {name: value for name, value in facts.items() if value is not None}
        return Source(kind="vm", id=self.source_id, name=self.name, facts=known)


def look_at_vm(session: Session, text: str) -> Subject:
    """Raises ObjectNotFound, InvalidRequest where several answer to that name, DiskError."""
    return look_at(session, find_vm(session, text))


def look_at(session: Session, vm: t.Any) -> Subject:
    """As it is now. Raises ObjectNotFound, DiskError."""
    values = properties(session, vm, (*PATHS, *_MORE))
    host, cluster = _places(session, values.get("runtime.host"))
    name = plain(str(values.get("name", vm._moId)))
    return Subject(session, vm, name, values, examine(values), host, cluster)


def _places(session: Session, host: t.Any) -> tuple[str | None, str | None]:
    if host is None:
        return None, None
    facts = properties(session, host, ("name", "parent"))
    above = facts.get("parent")
    cluster = None if above is None else properties(session, above, ("name",)).get("name")
    return facts.get("name"), cluster


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which disks the user means, by name (`scsi0:1`) or label (`Hard disk 2`). Empty `disks`:
    all of them."""

    disks: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def check(self, disks: Sequence[DiskReport]) -> None:
        """Raises InvalidRequest for a disk that the machine does not have, or if none is left."""
        known = {text for disk in disks for text in (disk.name, disk.label)}
        for option, texts in (("disks", self.disks), ("exclude_disks", self.exclude)):
            for text in texts:
                if text not in known:
                    raise _no_disk(option, text, disks)
        if disks and not any(self.means(disk.name, disk.label) for disk in disks):
            raise InvalidRequest(
                "no disk of the virtual machine is left to back up",
                found=f"exclude_disks: {', '.join(self.exclude)}",
            )

    def means(self, name: str, label: str) -> bool:
        """Whether a disk is to be backed up."""
        wanted = not self.disks or _is_among(self.disks, name, label)
        return wanted and not _is_among(self.exclude, name, label)


def _is_among(texts: Iterable[str], name: str, label: str) -> bool:
    return any(text in (name, label) for text in texts)


def _no_disk(option: str, text: str, disks: Sequence[DiskReport]) -> InvalidRequest:
    return InvalidRequest(
        f"the virtual machine has no disk {text!r}, which {option} names",
        found=", ".join(f"{disk.name} ({disk.label})" for disk in disks) or "no disk at all",
    )
