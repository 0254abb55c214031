# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where a recorded VM is made again, and as whom."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import ObjectNotFound
from ..connection import libraries
from ..connection.collect import collect

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..connection.session import Session

KEEP, NEW = "keep", "new"


@dataclasses.dataclass(frozen=True)
class Placement:
    """`mac` and `uuid` are "keep" (only where the original is gone) or "new" (it may live on).

    The maps go from recorded names to those to use; names that are not in them stay.
    """

    folder: t.Any
    pool: t.Any
    host: t.Any = None
    name: str | None = None
    mac: str = NEW
    uuid: str = NEW
    network_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    datastore_map: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Found:
    """Networks by name, as a backing of a network card needs them."""

    def __init__(self, session: Session, placement: Placement) -> None:
        vim = libraries.vim()
        self._map = placement.network_map
        self._hostname = session.vcenter.hostname
        self._networks: dict[str, tuple[t.Any, str | None, str | None]] = {
            str(row["name"]): (ref, None, None)
            for ref, row in collect(session, vim.Network, ("name",))
            if not isinstance(ref, vim.dvs.DistributedVirtualPortgroup)
        }
        self._networks.update(_port_groups(session))

    def backing(self, recorded: str) -> t.Any:
        """Of a card that was on the network of that name. Raises ObjectNotFound."""
        name = self._map.get(recorded, recorded)
        if name not in self._networks:
            raise ObjectNotFound(
                f"there is no network {name!r}",
                path=self._hostname,
                hint=f"Say in network_map which one to use in place of {recorded!r}.",
            )
        ref, key, switch = self._networks[name]
        card = libraries.vim().vm.device.VirtualEthernetCard
        if key is None:
            return card.NetworkBackingInfo(deviceName=name, network=ref)
        port = libraries.vim().dvs.PortConnection(portgroupKey=key, switchUuid=switch)
        return card.DistributedVirtualPortBackingInfo(port=port)


def _port_groups(session: Session) -> dict[str, tuple[t.Any, str | None, str | None]]:
    vim = libraries.vim()
    switches = {
        ref._moId: row["uuid"]
        for ref, row in collect(session, vim.DistributedVirtualSwitch, ("uuid",))
    }
    paths = ("name", "key", "config.distributedVirtualSwitch")
    rows = collect(session, vim.dvs.DistributedVirtualPortgroup, paths)
    return {
        str(row["name"]): (ref, row["key"], switches[switch._moId])
        for ref, row in rows
        if (switch := row.get("config.distributedVirtualSwitch")) is not None
    }
