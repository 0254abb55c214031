# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Machines that a restore works on: marked as unfinished, so that nobody takes them for whole.

The mark is an option of the machine (extraConfig) and says which run set it. A machine that a dead
run has made is removed by the next one, unless somebody has gone on with it; one that it only wrote
to is left for the next restore.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..._device.errors import DiskInUse, ObjectNotFound
from ..connection import libraries, tasks
from ..connection.collect import collect, properties
from ..connection.names import plain
from ..disks.attach import detach
from ..disks.holders import holders
from ..machine.machine import Attached, ManagedFile, look_at
from .journal import abandoned, host_name, known_runs
from .removal import is_at_work

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..connection.session import Session
    from ..machine.machine import Machine
    from .journal import Entry, Journal

OPTION = "vdisk.lifecycle.unfinished"
MADE, WRITTEN = "machine", "restore"  # kinds of entries in a journal
_TO_KEEP = (
    f"What is on its disks may not be whole. To keep it, delete its advanced setting {OPTION}; else"
    " remove it in vCenter."
)


@dataclasses.dataclass(frozen=True)
class Mark:
    """Who works on a machine. `made`: and has made it. `tracking`: changes were tracked before."""

    run: str
    host: str
    point: str
    made: bool
    disks: tuple[str, ...]
    tracking: bool = False

    def option(self) -> t.Any:
        """For extraConfig."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return libraries.vim().option.OptionValue(key=OPTION, value=text)


def no_mark() -> t.Any:
    """For extraConfig: it takes the mark away."""
    return libraries.vim().option.OptionValue(key=OPTION, value="")


# Somebody's all the same: it is known to no run.
UNREADABLE = Mark("", "an unknown host", "that nobody can read", made=False, disks=())
_FIELDS = tuple(field.name for field in dataclasses.fields(Mark))


def mark_of(options: Iterable[t.Any] | None) -> Mark | None:
    """Newer versions may say more. What cannot be read is UNREADABLE."""
    text = next((str(each.value) for each in options or () if each.key == OPTION), "")
    if not text:
        return None
    try:
        said = json.loads(text)
        facts = {name: said[name] for name in _FIELDS if name in said}
        return Mark(**{**facts, "disks": tuple(facts["disks"])})
    except (KeyError, TypeError, ValueError):
        return UNREADABLE


def note_made(
    session: Session,
    journal: Journal,
    name: str,
    sizes: Iterable[int],
    folder: t.Any,
    vm: t.Any = None,
) -> int:
    """Before a machine is made; and again when it is there, with its files.

    The number is for done(). Raises DiskError.
    """
    files: list[str] = []
    if vm is not None:
        files = [str(disk.backing.fileName) for disk in look_at(session, vm).disks]
    return journal.note(
        MADE,
        vcenter=session.identity,
        hostname=session.vcenter.hostname,
        vm="" if vm is None else str(vm._moId),
        vm_name=name,
        folder=str(folder._moId),
        sizes=sorted(sizes),
        files=files,
    )


def remove_made(session: Session, entry: Entry, run: str) -> str | None:
    """Remove the machine that a run has made and not finished. What was done with it, in words;
    None where it is not there, or is whole.

    Disks that somebody has attached to it since are detached first. Raises DiskInUse where it is
    somebody's now, DiskError.
    """
    vm = _made_by(session, entry.facts, run)
    if vm is None:
        _refuse_begun(session, entry.facts)
        return None
    machine = look_at(session, vm)
    if machine.facts.get("runtime.powerState") in ("poweredOn", "suspended"):
        # Somebody works with it; once it is off, nothing would show that any more.
        return f"is left alone from now on, because it runs. {_TO_KEEP}"
    _refuse_used(session, machine, entry.facts)
    _detach_foreign(session, machine, entry.facts)
    what = f"remove the unfinished machine {machine.name}"
    tasks.wait(session, session.call(vm.Destroy_Task, what, machine.name), what, machine.name)
    return "was removed"


def unfinished_since(session: Session, vm: t.Any, run: str) -> bool:
    """Whether the machine is still as a dead run has left it. Raises DiskError."""
    mark = mark_of(properties(session, vm, ("config.extraConfig",)).get("config.extraConfig"))
    return mark is not None and mark.run == run


def forget_dead(session: Session, moref: str) -> None:
    """What dead runs on this host have noted of a machine that is whole now. Raises DiskError."""
    for journal in abandoned():
        for entry in journal.open_entries():
            known = (entry.kind, entry.facts.get("vcenter"), entry.facts.get("vm"))
            if known == (WRITTEN, session.identity, moref):
                journal.done(entry.number)


def is_known(mark: Mark) -> bool:
    """Whether its run is one of ours: the names of hosts change, and two may have the same."""
    return mark.run in known_runs()


def is_of_this_host(mark: Mark) -> bool:
    return mark.host == host_name()


def _made_by(session: Session, facts: Mapping[str, t.Any], run: str) -> t.Any:
    """By its id, else by its name; and in any case by its mark."""
    kind = libraries.vim().VirtualMachine
    if facts["vm"]:
        found = [kind(facts["vm"], session.content.rootFolder._stub)]
    else:
        rows = collect(session, kind, ("name",))
        found = [ref for ref, row in rows if _is_called(str(row.get("name")), facts)]
    for vm in found:
        try:
            options = properties(session, vm, ("config.extraConfig",)).get("config.extraConfig")
        except ObjectNotFound:
            continue
        mark = mark_of(options)
        if mark is not None and mark.made and mark.run == run:
            return vm
    return None


def _is_called(name: str, facts: Mapping[str, t.Any]) -> bool:
    return facts["vm_name"] in (name, plain(name))


def _refuse_begun(session: Session, facts: Mapping[str, t.Any]) -> None:
    """Who asked for the machine is dead, and vCenter may make it all the same."""
    folder = libraries.vim().Folder(facts["folder"], session.content.rootFolder._stub)
    try:
        begun = not facts["vm"] and is_at_work(session, folder, "create")
    except ObjectNotFound:
        return
    if begun:
        raise DiskInUse(
            f"vCenter is at work on a new machine, and whether that is {facts['vm_name']} cannot"
            " be seen yet",
            hint="Run this again when that task has ended.",
        )


def _refuse_used(session: Session, machine: Machine, facts: Mapping[str, t.Any]) -> None:
    """Whoever has gone on with it would lose what he has. Raises DiskInUse."""
    why = _use(session, machine, facts)
    if why is not None:
        raise DiskInUse(f"{machine.name} is an unfinished restore, but {why}", hint=_TO_KEEP)


def _use(session: Session, machine: Machine, facts: Mapping[str, t.Any]) -> str | None:
    """What shows that somebody has gone on with it; None if nothing does. Raises DiskError."""
    if machine.facts.get("runtime.powerState") != "poweredOff":
        return "nobody can tell whether it is off"
    if not _is_called(machine.name, facts):
        return f"somebody has renamed it: it was {facts['vm_name']}"
    if machine.facts.get("snapshot") is not None:
        return "somebody has taken a snapshot of it"
    path = "config.template"
    if properties(session, machine.ref, (path,)).get(path):
        return "somebody has made it a template"
    held = {str(disk.backing.fileName): disk for disk in machine.disks}
    gone = sorted(set(facts["files"]) - set(held))
    if gone:
        return f"somebody has moved or detached disks of it: {', '.join(gone)}"
    for name in facts["files"] or held:
        backing = held[name].backing
        file = ManagedFile(name, backing.datastore, getattr(backing, "uuid", None))
        for holder in holders(session, file):
            if holder.moref != machine.ref._moId:
                return f"{holder.name} {holder.how}: {name}"
    return None


def _detach_foreign(session: Session, machine: Machine, facts: Mapping[str, t.Any]) -> None:
    """Removing a machine deletes the files of all disks that it has."""
    if facts["files"]:
        foreign = [
            disk for disk in machine.disks if str(disk.backing.fileName) not in facts["files"]
        ]
        for disk in foreign:
            detach(session, machine.ref, Attached(disk, None), str(disk.backing.fileName))
    elif sorted(disk.capacityInKB << 10 for disk in machine.disks) != facts["sizes"]:
        # The run died before it knew which files are its own.
        raise DiskInUse(
            f"{machine.name} is an unfinished restore, and has disks that the restore did not make",
            found=", ".join(str(disk.backing.fileName) for disk in machine.disks),
            hint="Detach those that you need, and remove the machine.",
        )
