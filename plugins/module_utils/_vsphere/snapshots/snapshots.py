# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A snapshot of a VM that exists for as long as a `with` block."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..._device.errors import DiskError, VSphereFault
from ..connection import tasks
from ..connection.errors import fault_name
from . import quiesce as ladder
from .naming import description, snapshot_name
from .preflight import Limits, check_ready
from .quiesce import Level, Quiesce
from .removal import Patience, remove_snapshot, snapshot_of, whereabouts

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..connection.session import Session
    from .journal import Journal


@dataclasses.dataclass(frozen=True)
class Taken:
    """A snapshot of ours. `passed_over` says, for each better level, why it could not be had."""

    snapshot: t.Any  # vim.vm.Snapshot
    vm: t.Any
    name: str
    task: str  # key of the task that made it
    level: Level
    passed_over: tuple[str, ...]


@contextlib.contextmanager
def snapshot(
    session: Session,
    vm: t.Any,
    journal: Journal,
    quiesce: Quiesce,
    *,
    limits: Limits | None = None,
    patience: Patience | None = None,
) -> Iterator[Taken]:
    """Taken after the checks of preflight, removed and consolidated however the block ends.

    What cannot be removed stays in the journal, for the sweep of a later run. Raises DiskError.
    """
    patience = patience or Patience()
    # Before anything else: an older snapshot of ours, still merging, would spoil this one.
    of_vm = check_ready(session, vm, limits or Limits())
    facts = whereabouts(session, vm, of_vm.get("name"), of_vm.get("config.instanceUuid"))
    number = journal.note("snapshot", **facts)
    maker = _Maker(session, vm, journal, patience)
    try:
        yield maker.make(quiesce, of_vm)
    except BaseException as error:
        # What went wrong first is what the operator must hear of.
        with _left_over(journal, error):
            if remove_snapshot(session, vm, journal, patience) or not maker.unanswered:
                journal.done(number)
        raise
    with _left_over(journal):
        remove_snapshot(session, vm, journal, patience)
    journal.done(number)


@contextlib.contextmanager
def _left_over(journal: Journal, first: BaseException | None = None) -> Iterator[None]:
    """Says, along with the first error if there was one, who will remove what is left."""
    try:
        yield
    except DiskError as left:
        todo = "The next run goes on with that."
        if first is None:
            left.hint = " ".join(filter(None, (left.hint, todo)))
            raise
        if isinstance(first, DiskError):
            told = f"Also, the snapshot {snapshot_name(journal.run)} could not be removed: {left}"
            first.hint = " ".join(filter(None, (first.hint, told, todo)))


class _Maker:
    def __init__(self, session: Session, vm: t.Any, journal: Journal, patience: Patience) -> None:
        self._session, self._vm, self._patience = session, vm, patience
        self._journal, self._name = journal, snapshot_name(journal.run)
        self._text = description(journal.head())
        # A request that nobody answered, or whose task was not seen to end, may be carried out when
        # we have long stopped looking: then the next run looks once more.
        self.unanswered = False

    def make(self, quiesce: Quiesce, of_vm: dict[str, t.Any]) -> Taken:
        """On the first rung of the ladder that holds."""
        passed: list[str] = []
        for level, unfit in ladder.ladder(quiesce, of_vm):
            if unfit is not None:
                passed.append(f"{level.value}: {unfit}")
                continue
            try:
                task = self._create(level)
            except DiskError as error:
                if not ladder.may_step_down(error):
                    raise
                passed.append(f"{level.value}: {error}")
                # A failed attempt may leave a snapshot that is of no use.
                remove_snapshot(self._session, self._vm, self._journal, self._patience)
                continue
            return Taken(self._made(), self._vm, self._name, task, level, tuple(passed))
        raise VSphereFault(
            "no snapshot is as consistent as was asked for",
            path=of_vm.get("name"),
            found="; ".join(passed),
            expected=f"at least {quiesce.least.value}",
            hint="Allow a lower level, or mend what is named.",
        )

    def _create(self, level: Level) -> str:
        """The key of the task, once it has succeeded."""
        what = f"take a snapshot ({level.value})"
        self.unanswered = True
        try:
            task = self._session.call(
                lambda: ladder.create(self._vm, level, self._name, self._text), what
            )
        except DiskError as error:
            self.unanswered = fault_name(error) is None
            raise
        try:
            tasks.wait(self._session, task, what)
        except BaseException:
            self.unanswered = not tasks.has_ended(self._session, task)
            raise
        self.unanswered = False
        return str(task._moId)

    def _made(self) -> t.Any:
        node = snapshot_of(self._session, self._vm, self._journal.run)
        if node is None:
            raise VSphereFault("the snapshot that was just taken is not there", path=self._name)
        return node.snapshot
