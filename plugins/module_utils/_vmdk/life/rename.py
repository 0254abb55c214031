# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Rename or move a disk with all its files; its children and its parent find each other again.

Within a folder one journal renames all files. To another folder the files are linked, or copied and
compared where the file system is another; one journal makes the new disk, a second one removes the
old. Between the two both are whole, and the next run goes on from there.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..._device.compare import compare
from ..._device.errors import DiskExists, DiskNotFound, InvalidRequest
from ..._device.files import File
from ..._device.progress import Silent
from ..descriptor.descriptor import Descriptor
from ..extents.layout import check_name
from ..files.lock import refuse_claimed
from ..files.ownership import keep_owner
from ..files.paths import contained, folder_of
from ..opening import journal
from ..opening.chain import open_disk
from ..opening.descriptor_edit import Edit, plan_edit
from ..opening.family import (
    children_of,
    parent_hint,
    refuse_in_commit,
    refuse_pending_below,
)
from .building import new_file, require_writable
from .own_files import lock_open_files
from .relocate import Relocation

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._device.progress import Progress
    from ..opening.disk import Disk


def rename_disk(
    src: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    allow_outside: Sequence[str] = (),
    progress: Progress | None = None,
    label: str = "",
) -> bool:
    """Give a disk another name, in its folder or elsewhere. False if that was done already.

    Children beside it follow. Raises DiskExists, DiskInUse, DiskNotFound, UnsafePath where a hint
    would lead out of a folder and not below one of allow_outside, and what open_disk() raises.
    """
    old, new = _checked(src), destination(dest)
    journal.finish(new)
    journal.finish(old)
    if not os.path.lexists(old):
        _require_done(old, new, allow_outside)
        return False
    with open_disk(old, allow_outside=allow_outside) as disk:
        move = plan_move(disk, new, allow_outside)
        _lock(disk)
        if move.stays:
            move.within_folder()
        else:
            move.to_other_folder(progress or Silent(), label)
    return True


def _checked(src: str | os.PathLike[str]) -> str:
    if os.path.islink(src):
        raise InvalidRequest(
            "is a symbolic link", path=src, found=os.path.realpath(src), hint="Name the disk."
        )
    return os.path.realpath(src)


def destination(dest: str | os.PathLike[str]) -> str:
    """The path that a new name means. Raises DiskNotFound, InvalidRequest."""
    if not os.fspath(dest).lower().endswith(".vmdk"):
        raise InvalidRequest("the name of a VMDK must end in .vmdk", path=dest)
    folder = os.path.dirname(os.path.abspath(dest))
    if not os.path.isdir(folder):
        raise DiskNotFound("the folder to move to is not there", path=folder, hint="Create it.")
    check_name(os.fspath(dest))
    return os.path.join(os.path.realpath(folder), os.path.basename(dest))


def _require_done(old: str, new: str, allow_outside: Sequence[str]) -> None:
    if not os.path.lexists(new):
        raise DiskNotFound("there is no disk, nor at its new name", path=old, found=f"no {new}")
    with open_disk(new, allow_outside=allow_outside):
        pass


def _lock(disk: Disk) -> None:
    """Nobody else may have any file of it open, by whatever road. Raises DiskInUse."""
    refuse_claimed(disk.links[0].path)
    refuse_pending_below(disk.links[0].path)
    lock_open_files(disk.links[0])


@dataclasses.dataclass(frozen=True)
class Move:
    """What goes where. pairs: (old, new) of all files but a descriptor of its own."""

    disk: Disk
    old: str
    new: str
    pairs: list[tuple[str, str]]
    text: bytes
    children: list[Edit]
    allow_outside: Sequence[str]

    @property
    def embedded(self) -> bool:
        return self.disk.links[0].store.is_embedded

    @property
    def own_edit(self) -> list[Edit]:
        """That of a descriptor which travels within its extent."""
        return [Edit(self.new, self.disk.descriptor.to_bytes(), self.text)] if self.embedded else []

    @property
    def stays(self) -> bool:
        """Within its folder."""
        return folder_of(self.old) == folder_of(self.new)

    def check(self) -> None:
        """Raises DiskExists, DiskInUse, ReadOnlyDisk."""
        _lock(self.disk)
        for path in (self.old, self.new):
            require_writable(folder_of(path))
        if self.stays or not self._is_there():
            self._require_free()

    def within_folder(self) -> None:
        """One journal, found from both names."""
        self._require_free()
        finished, removed = [], [self.new + journal.SUFFIX]
        with journal.pointer(self.new, self.old), Relocation(self.old) as made:
            if not self.embedded:
                made.adopt(self._write_descriptor())
                finished.append(self.new)
                removed.append(self.old)
            renamed = [pair for pair in self.pairs if pair[0] != pair[1]]
            edits = [*self.own_edit, *self.children]
            journal.commit(self.old, finished, removed, renamed=renamed, edits=edits)

    def to_other_folder(self, progress: Progress, label: str) -> None:
        """Two journals; a run that finds its own work at the new place begins with the second."""
        if not self._is_there():
            self._require_free()
            with Relocation(self.new) as made:
                finished = [new for _old, new in self.pairs]
                if not self.embedded:
                    made.adopt(self._write_descriptor())
                    finished.append(self.new)
                made.bring(self.pairs, progress, label)
                journal.commit(self.new, finished, edits=self.own_edit)
        gone = dict.fromkeys([self.old, *(old for old, _new in self.pairs)])
        journal.commit(self.old, [], list(gone), edits=self.children)

    def _write_descriptor(self) -> File:
        """Under its temporary name; locked while it is open."""
        file = new_file(self.new)
        keep_owner(file, os.fstat(self.disk.links[0].store.file.fileno()))
        file.write(0, self.text)
        file.flush()
        return file

    def _is_there(self) -> bool:
        """Whether a killed run got as far as the new disk."""
        if not os.path.exists(self.new):
            return False
        if all(os.path.exists(new) and os.path.samefile(old, new) for old, new in self.pairs):
            return True
        with open_disk(self.new, allow_outside=self.allow_outside) as there:
            same = there.descriptor.to_bytes() == self.text
            return same and compare(there, self.disk) is None

    def _require_free(self) -> None:
        for old, new in {**dict(self.pairs), self.old: self.new}.items():
            if old != new and os.path.lexists(new):
                raise DiskExists(
                    "is already there", path=new, hint="Choose another name, or move it away."
                )


def plan_move(disk: Disk, new: str, allow_outside: Sequence[str] = ()) -> Move:
    """Names and descriptors as they will be. Raises UnsafePath, InvalidRequest."""
    old = os.path.realpath(disk.path)
    refuse_in_commit(old, "rename")
    text = Descriptor(disk.descriptor.to_bytes(), new)
    pairs = _rename_extents(disk, text, old, new)
    _rename_tracking(text, old, new, pairs)
    if folder_of(old) != folder_of(new) and len(disk.links) > 1:
        hint = parent_hint(disk.links[1].path, new)
        contained(new, hint, allow_outside)
        text.set("parentFileNameHint", hint)
    children = []
    for child in children_of(old):
        hint = parent_hint(new, child)
        contained(child, hint, allow_outside)
        children.append(plan_edit(child, {"parentFileNameHint": hint}))
    return Move(disk, old, new, pairs, text.to_bytes(), children, allow_outside)


def _rename_extents(disk: Disk, text: Descriptor, old: str, new: str) -> list[tuple[str, str]]:
    pairs: dict[str, str] = {}
    for index, (line, path) in enumerate(disk.links[0].extents):
        if line.name is None or path is None:
            continue
        if disk.links[0].store.is_embedded:
            name, pairs[old] = os.path.basename(new), new
        else:
            contained(old, line.name)
            name = _renamed(line.name, old, new)
            pairs[path] = os.path.join(folder_of(new), name)
        text.replace_extent(index, dataclasses.replace(line, name=name))
    if len(set(pairs.values())) < len(pairs):
        raise InvalidRequest("two of its files would get one name", path=disk.path)
    return list(pairs.items())


def _rename_tracking(text: Descriptor, old: str, new: str, pairs: list[tuple[str, str]]) -> None:
    """The list of changed blocks goes along: it is true as long as nobody writes (VDDK guide)."""
    name = text.get("changeTrackPath")
    if name is not None and os.path.isfile(contained(old, name)):
        moved = _renamed(name, old, new)
        pairs.append((os.path.join(folder_of(old), name), os.path.join(folder_of(new), moved)))
        text.set("changeTrackPath", moved)


def _renamed(name: str, old: str, new: str) -> str:
    """`web01-s001.vmdk` of web01 becomes `new-s001.vmdk`; a name of another form stays."""
    folder, base = os.path.split(name)
    stem, new_stem = (os.path.splitext(os.path.basename(path))[0] for path in (old, new))
    if base.startswith(f"{stem}-"):
        base = new_stem + base[len(stem) :]
    return os.path.join(folder, base) if folder_of(old) == folder_of(new) else base
