# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Drop points by rules, then give back the space: first as a forecast, then for real."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import typing as t

from ..._device.errors import DiskError, InvalidRequest
from ..._device.progress import Silent
from ..format import times
from ..format.hold import PREFIX as HOLDS
from ..read.late import read_point
from ..read.points import find_point, load_points, of_source
from .collect import collect
from .compact import Compacted, Sparse, compact, find_sparse
from .holds import hold_key, load_holds, put_hold
from .lease import Lease, living_sessions
from .naming import named
from .references import needed_by
from .retention import Rules, Verdict, is_retained, judge
from .survey import Limits, Survey, survey

if t.TYPE_CHECKING:
    from ..._device.progress import Progress
    from ..access import Access
    from ..format.manifest import RestorePoint


@dataclasses.dataclass(frozen=True)
class PruneRequest:
    """`grace` in seconds; packs with less than `compact` percent in use are rewritten."""

    rules: Rules = dataclasses.field(default_factory=Rules)
    source: str | None = None
    drop: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    hold_reason: str = "asked for"
    collect: bool = True
    grace: int = 24 * 3600
    compact: int = 0
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class Decision:
    """What is asked for, against what there is. `hold` and `release` only where that changes
    anything; `release` are keys of documents."""

    verdicts: list[Verdict]
    hold: list[RestorePoint]
    release: list[str]

    @property
    def dropped(self) -> frozenset[str]:
        return frozenset(verdict.point.key for verdict in self.verdicts if not verdict.keep)


class Pruned(t.NamedTuple):
    """What a run did, or will do: then `compacted` knows only the packs."""

    decision: Decision
    compacted: Compacted
    survey: Survey | None
    locked: int = 0  # packs that were to be deleted, and that the store keeps

    @property
    def changes(self) -> bool:
        made = self.decision
        collects = self.survey is not None and self.survey.changes
        return bool(made.dropped or made.hold or made.release or self.compacted.packs or collects)


class Prune:
    """One run of vmdk_prune."""

    def __init__(self, access: Access, request: PruneRequest) -> None:
        self._access, self._request = access, request
        self._now = times.now()

    def forecast(self) -> Pruned:
        """Reads only. Raises RestorePointNotFound, AmbiguousRestorePoint, InvalidRequest,
        RepositoryDamaged for a hold that cannot be read, DiskIOError."""
        decision = self._decide()
        freed = self._needed_by_dropped(decision)
        sparse = self._sparse(decision, decision.dropped)
        # A real run sweeps before it lists the sessions.
        sessions = frozenset(self._access.store.sessions())
        found = None
        if self._request.collect:
            found = survey(
                self._access,
                lambda: sessions,
                self._limits,
                freed=freed | sparse.emptied,
                without=decision.dropped,
                emptied=sparse.emptied,
            )
        return Pruned(decision, Compacted(len(sparse.packs)), found)

    def run(self) -> Pruned:
        """Raises what forecast() raises, and DiskInUse while another run is at work."""
        store = self._access.store
        with Lease(store) as lease:
            decision = self._decide()
            for point in decision.hold:
                put_hold(self._access, point, self._request.hold_reason, self._now)
            for key in decision.release:
                store.delete(key)
            freed = self._needed_by_dropped(decision)
            for key in sorted(decision.dropped):
                lease.check()
                store.delete(key)
            sparse = self._sparse(decision)
            compacted = compact(self._access, lease, sparse, self._now, self._request.progress)
            found, locked = None, 0
            if self._request.collect:
                found = survey(
                    self._access,
                    lambda: living_sessions(store) - {lease.session.key},
                    self._limits,
                    freed=freed | sparse.emptied,
                )
                locked = collect(self._access, lease, found)
        return Pruned(decision, compacted, found, locked)

    @property
    def _limits(self) -> Limits:
        return Limits(self._now, datetime.timedelta(seconds=self._request.grace))

    def _needed_by_dropped(self, decision: Decision) -> frozenset[bytes]:
        if not self._request.collect:
            return frozenset()
        gone = [verdict.point for verdict in decision.verdicts if not verdict.keep]
        readable = []
        for point in gone:
            with contextlib.suppress(DiskError):  # it goes all the same
                readable.append(read_point(self._access, point))
        return needed_by(self._access, readable, [])

    def _sparse(self, decision: Decision, without: frozenset[str] = frozenset()) -> Sparse:
        percent = self._request.compact
        if not percent:
            return Sparse()
        return find_sparse(self._access, percent, self._fixed(decision), without)

    def _fixed(self, decision: Decision) -> frozenset[str]:
        """Keys of points whose manifests are not to be touched."""
        held = {hold.point for hold in load_holds(self._access, frozenset(decision.release))}
        held |= {point.key for point in decision.hold}
        held |= {point.key for point in load_points(self._access) if is_retained(point, self._now)}
        return frozenset(held)

    def _decide(self) -> Decision:
        points = load_points(self._access)
        hold, release = self._change_of_holds(points)
        held = {hold.point: hold.reason for hold in load_holds(self._access, frozenset(release))}
        held.update((point.key, self._request.hold_reason) for point in hold)
        drop = frozenset(point.key for name in self._request.drop for point in named(points, name))
        meant = drop | self._meant(points)
        verdicts = judge(points, self._request.rules, self._now, held=held, drop=drop)
        verdicts = [verdict for verdict in verdicts if verdict.point.key in meant]
        for verdict in verdicts:
            if verdict.keep and verdict.point.key in drop:
                raise _must_stay(verdict)
        return Decision(verdicts, hold, release)

    def _meant(self, points: list[RestorePoint]) -> frozenset[str]:
        """Keys of the points that the rules are for."""
        source = self._request.source
        chosen = points if source is None else of_source(points, source)
        return frozenset(point.key for point in chosen)

    def _change_of_holds(self, points: list[RestorePoint]) -> tuple[list[RestorePoint], list[str]]:
        there = {stored.key for stored in self._access.store.list(HOLDS)}
        hold = {p.key: p for name in self._request.hold for p in [find_point(points, name).point]}
        release: dict[str, None] = {}
        for name in self._request.release:
            # Also by the bare id: the point of a hold may be gone.
            keys = [HOLDS + name.rpartition("@")[2], *map(hold_key, named(points, name))]
            release.update((key, None) for key in keys if key in there)
        both = [point.id for point in hold.values() if hold_key(point) in release]
        if both:
            raise InvalidRequest("a point cannot be held and released at once", found=both[0])
        return [p for p in hold.values() if hold_key(p) not in there], list(release)


def _must_stay(verdict: Verdict) -> InvalidRequest:
    return InvalidRequest(
        f"restore point {verdict.point.id} cannot be dropped",
        path=verdict.point.repository,
        found=", ".join(verdict.reasons),
        hint="One that is held must be released first; nothing was dropped.",
    )
