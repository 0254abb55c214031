# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a machine is beside its disks: settings, tags, policies, firmware variables, its .vmx."""

from __future__ import annotations

import re
import typing as t

from ...._device.errors import DiskError
from ...._vsphere.connection.rest import Rest
from ...._vsphere.disks.folder import DatastoreFiles
from ...._vsphere.disks.paths import find_place, parse_file
from ...._vsphere.inventory.policies import Policies
from ...._vsphere.inventory.tags import Tags
from ...._vsphere.vmconfig.filters import split_options
from ...._vsphere.vmconfig.record import record
from ..document import VmDocument

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .subject import Subject

T = t.TypeVar("T")

_LINE = re.compile(r'\s*([^\s=#]+)\s*=\s*"(.*)"\s*')


class _Option(t.NamedTuple):
    key: str
    value: str


def vmx_text(subject: Subject, told: list[str]) -> str | None:
    """Without secrets, and what belongs to one run only. To be read before there is a snapshot,
    whose files it would name. What cannot be had is `told`."""
    path = subject.values.get("config.files.vmPathName")
    if subject.is_encrypted or not path:
        return None
    data = _attempt(lambda: _read(subject, str(path)), "its .vmx file", told)
    if data is None:
        return None
    found = map(_LINE.fullmatch, data.decode("utf-8", "replace").splitlines())
    kept, _secret = split_options(_Option(line[1], line[2]) for line in found if line)
    return "".join(f'{name} = "{value}"\n' for name, value in kept.items())


def record_configuration(
    subject: Subject, snapshot: t.Any, vmx: str | None, told: list[str]
) -> VmDocument:
    """As the machine was when the snapshot was taken; without one, as it is. Raises DiskError.

    Of what cannot be had beside its settings, `told` says why.
    """
    with Rest(subject.session.vcenter) as rest:
        tags, policies = _services(subject, rest, told)
        facts = record(subject.session, subject.vm, tags=tags, policies=policies, snapshot=snapshot)
    nvram = None
    path = facts["files"]["nvram"]
    if facts["encrypted"]:
        told.append("its .vmx and .nvram files: they are encrypted, with keys of the machine")
    elif path:
        nvram = _attempt(lambda: _read(subject, path), "its firmware variables (nvram)", told)
    return VmDocument(facts, nvram, vmx, tuple(told))


def _services(subject: Subject, rest: Rest, told: list[str]) -> tuple[Tags | None, Policies | None]:
    """Those that answer; a host without vCenter has neither."""
    if subject.session.content.about.apiType != "VirtualCenter":
        return None, None
    tags, policies = Tags(rest), Policies(subject.session)
    has_tags = _attempt(lambda: tags.labels, "its tags", told) is not None
    has_policies = _attempt(policies.all, "its storage policies", told) is not None
    return tags if has_tags else None, policies if has_policies else None


def _read(subject: Subject, path: str) -> bytes:
    """A file of the machine. Raises DiskError."""
    place = find_place(subject.session, parse_file(path))
    files = DatastoreFiles(subject.session)
    try:
        return files.read_small(place)
    finally:
        files.close()


def _attempt(get: Callable[[], T], what: str, told: list[str]) -> T | None:
    try:
        return get()
    except DiskError as error:
        told.append(f"{what}: {error}")
        return None
