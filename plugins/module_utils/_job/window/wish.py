# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A window as the user asks for it: from machines and restore points as modules list them."""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t

from ..._device.errors import InvalidRequest
from .forecast import forecast
from .histories import Histories
from .model import Limits, Machine, Window
from .planner import plan_window
from .times import parse_time, to_text

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .forecast import Forecast
    from .model import Left, Slot

    Row = dict[str, t.Any]

_MOST = 0.95  # of a window, for one that fits into it without the margin: it has to begin, too
_DATASTORE = re.compile(r"\[([^\]]+)\]")


@dataclasses.dataclass(frozen=True)
class Proxy:
    """Who moves data; `datastores` that it reaches, all without any."""

    name: str
    streams: int
    datastores: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class WindowWish:
    """`vms` as vmdk_vm_info lists them, `points` as vmdk_backup_info does. Times in seconds, by
    names or ids of machines where they are mappings."""

    vms: Sequence[Row]
    points: Sequence[Row]
    proxies: Sequence[Proxy]
    window: Window
    limits: Limits
    rpo: float
    rpos: Mapping[str, float]
    risks: Mapping[str, float]
    missed: Mapping[str, int]
    rate: int  # bytes a second
    margin: float


def plan_of(wish: WindowWish) -> Row:
    """What vmdk_window_plan returns. Raises InvalidRequest."""
    _require_unique(proxy.name for proxy in wish.proxies)
    _require_time((wish.rpo, *wish.rpos.values()))
    _require_numbers(wish)
    by_id = {_id_of(vm): vm for vm in wish.vms}
    histories = Histories(wish.points)
    history = {id: histories.of(id, vm.get("instance_uuid")) for id, vm in by_id.items()}
    forecasts = {
        id: forecast(history[id], _size(vm), wish.rate, wish.margin) for id, vm in by_id.items()
    }
    machines = [_machine(wish, vm, forecasts[id], history[id][-1:]) for id, vm in by_id.items()]
    streams = {proxy.name: proxy.streams for proxy in wish.proxies}
    plan = plan_window(machines, streams, wish.limits, wish.window)
    left = [{**_row(each.machine, wish, by_id), **_left(each)} for each in plan.left]
    return {
        "start": to_text(wish.window.start),
        "deadline": to_text(wish.window.end),
        "limits": {**wish.limits._asdict(), "proxies": streams},
        "slots": [
            {
                **_row(each.machine, wish, by_id),
                **_slot(each, forecasts[each.machine.name].basis),
            }
            for each in plan.slots
        ],
        "left": left,
        "end": None if plan.end is None else to_text(plan.end),
        "missed": {each["moref"]: each["missed"] for each in left},
    }


def _require_unique(names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise InvalidRequest(f"there are two proxies of the name {name!r}")
        seen.add(name)


def _require_time(rpos: Iterable[float]) -> None:
    if min(rpos) <= 0:
        raise InvalidRequest("an RPO of no time at all cannot be kept", expected="such as 24h")


def _require_numbers(wish: WindowWish) -> None:
    limits = wish.limits
    counts = {"host": limits.host, "datastore": limits.datastore, "repository": limits.repository}
    for name, number in (*counts.items(), *limits.hosts.items(), *limits.datastores.items()):
        if number < 0:
            raise InvalidRequest(f"the limit of {name} is {number}", expected="0 (none) or more")
    for name, risk in wish.risks.items():
        if not 0 <= risk < math.inf:
            raise InvalidRequest(f"the risk of {name} is {risk}", expected="0 or more, as 2.0")
    if wish.rate <= 0 or not 0 < wish.margin < math.inf:
        raise InvalidRequest(
            "nobody can expect anything by that",
            found=f"rate {wish.rate}, margin {wish.margin}",
            expected="numbers above 0",
        )


def _id_of(vm: Row) -> str:
    for key in ("moref", "name", "disks"):
        if key not in vm:
            raise InvalidRequest(
                f"vms: an entry has no {key}",
                found=str(vm.get("name", vm))[:100],
                expected="entries as vmdk_vm_info returns them in vms",
            )
    return str(vm["moref"])


def _size(vm: Row) -> int:
    return sum(disk.get("size") or 0 for disk in vm["disks"] if disk.get("protectable", True))


def _machine(wish: WindowWish, vm: Row, expected: Forecast, newest: list[Row]) -> Machine:
    datastores = _datastores(vm)
    return Machine(
        name=vm["moref"],
        seconds=_seconds(wish, expected),
        host=vm.get("host") or "",
        datastores=datastores,
        proxies=_reaching(wish.proxies, datastores),
        last=parse_time(newest[0]["created"], "created") if newest else None,
        rpo=_of(wish.rpos, vm, wish.rpo),
        missed=_of(wish.missed, vm, 0),
        risk=_of(wish.risks, vm, 1.0),
    )


def _seconds(wish: WindowWish, expected: Forecast) -> float:
    """The margin alone leaves nobody without a window for good."""
    most = wish.window.seconds * _MOST
    return most if expected.seconds / wish.margin <= most < expected.seconds else expected.seconds


T = t.TypeVar("T")


def _of(values: Mapping[str, T], vm: Row, otherwise: T) -> T:
    return values.get(vm["moref"], values.get(vm["name"], otherwise))


def _datastores(vm: Row) -> tuple[str, ...]:
    found = (_DATASTORE.match(disk.get("path") or "") for disk in vm["disks"])
    return tuple(sorted({match[1] for match in found if match}))


def _reaching(proxies: Sequence[Proxy], datastores: tuple[str, ...]) -> frozenset[str]:
    """Those that reach every datastore of it. A name that nobody has: none does."""
    needed = set(datastores)
    able = [p.name for p in proxies if not p.datastores or needed <= set(p.datastores)]
    return frozenset(able or [""])


def _row(machine: Machine, wish: WindowWish, vms: Mapping[str, Row]) -> Row:
    age = None if machine.last is None else wish.window.start - machine.last
    proxies = machine.proxies or {proxy.name for proxy in wish.proxies}
    return {
        "name": vms[machine.name]["name"],
        "moref": machine.name,
        "host": machine.host,
        "datastores": list(machine.datastores),
        "proxies": sorted(proxies - {""}),
        "seconds": round(machine.seconds),
        "age": None if age is None else round(age),
        "overdue": age is None or age >= machine.rpo,
    }


def _slot(slot: Slot, basis: str) -> Row:
    return {
        "proxy": slot.proxy,
        "start": to_text(slot.start),
        "end": to_text(slot.end),
        "basis": basis,
    }


def _left(left: Left) -> Row:
    return {"reason": left.reason, "never": left.never, "missed": left.machine.missed + 1}
