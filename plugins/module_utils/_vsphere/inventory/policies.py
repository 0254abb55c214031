# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Storage policies of VMs and their disks: a service of vCenter beside the vSphere API."""

from __future__ import annotations

import typing as t

from ..connection import libraries
from ..connection.wire import connection_to

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..connection.session import Session

T = t.TypeVar("T")
HOME = "home"  # of the VM's own files
_PATH, _VERSION = "/pbm/sdk", "pbm.version.version2"  # what vCenter has spoken since 6.0
_COOKIE = "vcSessionCookie"


class Policies:
    """Of one vCenter, with the session that there is. Policies are {"id": …, "name": …}."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._types = libraries.pbm()
        self._stub = libraries.soap().SoapStubAdapter(
            host=session.vcenter.hostname,
            port=session.vcenter.port,
            path=_PATH,
            version=_VERSION,
        )
        self._stub.scheme = lambda **_address: connection_to(session.vcenter)
        self._manager: t.Any = None
        self._known: list[dict[str, str]] | None = None

    def of_machine(self, vm: t.Any, slots: t.Mapping[int, str]) -> dict[str, dict[str, str]]:
        """Of its home and of each disk, by slot; `slots` are by device key. Raises DiskError."""
        keys = {str(vm._moId): HOME} | {f"{vm._moId}:{key}": slot for key, slot in slots.items()}
        made = self._types.ServerObjectRef
        objects = [
            made(objectType="virtualMachine" if what == HOME else "virtualDiskId", key=key)
            for key, what in keys.items()
        ]
        found = self._ask(lambda: self._profiles().PbmQueryAssociatedProfiles(objects))
        ids = {
            keys[each.object.key]: each.profileId[0].uniqueId
            for each in found or ()
            if each.profileId and each.object.key in keys
        }
        names = {each["id"]: each["name"] for each in self.all()} if ids else {}
        return {what: {"id": id_, "name": names.get(id_, id_)} for what, id_ in ids.items()}

    def find(self, recorded: t.Mapping[str, str]) -> str | None:
        """The id of a recorded policy here, by its id, else by its name. Raises DiskError."""
        by_id = {each["id"]: each["id"] for each in self.all()}
        by_name = {each["name"]: each["id"] for each in self.all()}
        return by_id.get(recorded["id"]) or by_name.get(recorded["name"])

    def all(self) -> list[dict[str, str]]:
        """All that are there. Raises DiskError."""
        if self._known is None:
            kind = self._types.profile.ResourceType(resourceType="STORAGE")
            ids = self._ask(lambda: self._profiles().PbmQueryProfile(kind, "REQUIREMENT"))
            found = self._ask(lambda: self._profiles().PbmRetrieveContent(ids)) if ids else []
            self._known = [{"id": each.profileId.uniqueId, "name": each.name} for each in found]
        return self._known

    def _profiles(self) -> t.Any:
        if self._manager is None:
            instance = self._types.ServiceInstance("ServiceInstance", self._stub)
            self._manager = instance.PbmRetrieveServiceContent().profileManager
        return self._manager

    def _ask(self, ask: Callable[[], T]) -> T:
        """With the session's cookie, in a header that only this service shall get."""
        # This service does not say clearly that a session has ended: vSphere's own does.
        self._session.ensure()

        def with_cookie() -> T:
            context = libraries.api_versions().GetRequestContext()
            context[_COOKIE] = self._session.cookie.partition("=")[2].strip('"')
            try:
                return ask()
            finally:
                context.pop(_COOKIE, None)

        return self._session.read(with_cookie, "read storage policies")
