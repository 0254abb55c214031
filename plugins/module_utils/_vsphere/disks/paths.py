# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Paths on datastores: what the user wrote, and where in the inventory that is."""

from __future__ import annotations

import dataclasses
import posixpath
import re
import typing as t

from ..._device.errors import BadReference, ObjectNotFound
from ..connection import libraries
from ..connection.collect import collect, properties
from ..connection.datacenters import inventory_path, is_meant

if t.TYPE_CHECKING:
    from ..connection.session import Session

_PATH = re.compile(r"\[(?P<datastore>[^\]]+)\]\s*(?P<file>.*)", re.DOTALL)
_FORM = "[datastore1] web01/web01.vmdk"


class ManagedPath(t.NamedTuple):
    """A file on a datastore. `file` is below the datastore, without a slash in front."""

    datastore: str
    file: str

    def __str__(self) -> str:
        return f"[{self.datastore}] {self.file}"

    @property
    def folder(self) -> str:
        """`[datastore] folder`, as vSphere lists it."""
        return f"[{self.datastore}] {posixpath.dirname(self.file)}".rstrip()

    @property
    def name(self) -> str:
        return posixpath.basename(self.file)

    @property
    def stem(self) -> str:
        """The name without its .vmdk."""
        return self.name[: -len(".vmdk")]

    def beside(self, name: str, volumes: t.Container[str] = ()) -> ManagedPath:
        """What a descriptor names: a file of its folder, a path from there, or one from the root
        of all datastores, as ESXi writes them in chains that span folders. `volumes` are the names
        of this datastore there.

        Raises BadReference where it leaves the datastore.
        """
        found = re.match(r"/vmfs/volumes/([^/]+)/(.+)", name)
        own = found is not None and found[1] in volumes
        joined = found[2] if found and own else posixpath.join(posixpath.dirname(self.file), name)
        file = posixpath.normpath(joined)
        if file.startswith(("../", "/")) or file == "..":
            raise _bad(str(self), f"names a file that is not on its datastore: {name}")
        return self._replace(file=file)


def parse_disk(text: str) -> ManagedPath:
    """`[datastore] folder/disk.vmdk`, normalised. Raises BadReference."""
    found = _PATH.fullmatch(text.strip())
    if found is None:
        raise _bad(text, "is no path on a datastore")
    parts = [part for part in found["file"].strip().split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _bad(text, "leaves its folder with ..")
    if any(ord(character) < 32 for character in text):
        raise _bad(text, "has a character in it that no name has")
    if not parts or not parts[-1].lower().endswith(".vmdk") or len(parts[-1]) == len(".vmdk"):
        raise _bad(text, "does not end in the name of a VMDK")
    if re.search(r"-(flat|delta|sesparse|ctk|rdmp?)\.vmdk$", parts[-1].lower()):
        raise _bad(text, "is what a disk consists of, not the disk")
    return ManagedPath(found["datastore"].strip(), "/".join(parts))


def parse_file(text: str) -> ManagedPath:
    """`[datastore] folder/file`, as vSphere says it. Raises BadReference."""
    found = _PATH.fullmatch(text)
    if found is None:
        raise _bad(text, "is no path on a datastore")
    return ManagedPath(found["datastore"], found["file"])


@dataclasses.dataclass(frozen=True)
class Place:
    """A path, and the objects that the API wants with it. `volumes` are the names that ESXi has
    for the datastore in /vmfs/volumes: its own, and its id."""

    path: ManagedPath
    datacenter: t.Any
    datacenter_path: str
    datastore: t.Any
    volumes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.path)

    def at(self, path: ManagedPath) -> Place:
        """Another file of the datastore."""
        return dataclasses.replace(self, path=path)

    def named(self, name: str) -> Place:
        """What a descriptor here names. Raises BadReference where that is on another datastore."""
        return self.at(self.path.beside(name, self.volumes))


def find_place(session: Session, path: ManagedPath) -> Place:
    """Where the datastore is. A datacenter must be named only where several have one of that name.

    Raises ObjectNotFound.
    """
    datacenters = list(_datacenters(session))
    found = [each for each in datacenters if path.datastore in each.datastores]
    if not found:
        raise _no_datastore(path, datacenters)
    if len(found) > 1:
        raise ObjectNotFound(
            f"several datacenters have a datastore {path.datastore}",
            path=str(path),
            found=", ".join(sorted(inventory_path(session, each.ref) for each in found)),
            hint="Say which in the option datacenter (VMWARE_DATACENTER), by its name or its path.",
        )
    ref, datastore = found[0].ref, found[0].datastores[path.datastore]
    url = properties(session, datastore, ("summary.url",)).get("summary.url", "")
    volumes = (path.datastore, posixpath.basename(url.rstrip("/")))
    return Place(path, ref, inventory_path(session, ref), datastore, volumes)


class _Datacenter(t.NamedTuple):
    ref: t.Any
    datastores: dict[str, t.Any]  # by name


def _datacenters(session: Session) -> t.Iterator[_Datacenter]:
    """Those that the option datacenter allows. Raises ObjectNotFound where it names none."""
    vim, wanted = libraries.vim(), session.vcenter.datacenter
    rows = list(collect(session, vim.Datacenter, ("name", "datastore")))
    rows = [(ref, facts) for ref, facts in rows if is_meant(session, ref, facts.get("name", ""))]
    if wanted is not None and not rows:
        raise ObjectNotFound(
            f"there is no datacenter {wanted}",
            path=session.vcenter.hostname,
            hint="Check the option datacenter (VMWARE_DATACENTER), and whether the user sees it.",
        )
    refs = {ref._moId: ref for _ref, facts in rows for ref in facts.get("datastore", ())}
    named = collect(session, vim.Datastore, ("name",), objects=refs.values())
    names = {ref._moId: facts["name"] for ref, facts in named if "name" in facts}
    for ref, facts in rows:
        there = [each for each in facts.get("datastore", ()) if each._moId in names]
        by_name = {names[each._moId]: each for each in there}
        yield _Datacenter(ref, by_name)


def _no_datastore(path: ManagedPath, datacenters: list[_Datacenter]) -> ObjectNotFound:
    there = sorted({name for each in datacenters for name in each.datastores})
    shown = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
    return ObjectNotFound(
        f"there is no datastore {path.datastore}",
        path=str(path),
        found=shown or "none that the user may see",
        hint=f"A managed disk is named like {_FORM}.",
    )


def _bad(text: str, why: str) -> BadReference:
    return BadReference(f"the disk reference '{text}' {why}", expected=f"something like {_FORM}")
