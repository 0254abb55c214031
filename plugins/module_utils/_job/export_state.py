# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The journal of a disk that is served over NBD: what there is to undo."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import stat
import typing as t

from .._device.errors import DiskInUse, from_oserror
from .._device.files import TEMPORARY_SUFFIX, remove_if_there, write_durably
from .._guest.detached import CLOSED, LOG
from .._guest.lockedfolder import LockedFolder, name_of, run_directory
from .._guest.processes import Process, boot_id

_STATE = "state.json"
_SOCKET = "socket.json"  # written by the server itself, once the socket is there


@dataclasses.dataclass
class Journal:
    """What is served where, as it was asked for; written down before anything is made."""

    place: str
    reference: str
    read_only: bool
    name: str
    tls_certificates: str | None = None
    tls_verify_clients: bool = False
    socket: str | None = None
    boot: str = dataclasses.field(default_factory=boot_id)
    server: Process | None = None
    complete: bool = False
    disk: dict[str, t.Any] = dataclasses.field(default_factory=dict)  # as results show it

    @property
    def is_alive(self) -> bool:
        """Whether clients can connect."""
        same_boot = self.boot == boot_id()
        return same_boot and self.complete and self.server is not None and self.server.alive

    def is_same(self, other: Journal) -> bool:
        """Whether both serve the same in the same way."""
        names = ("reference", "read_only", "name", "tls_certificates", "tls_verify_clients")
        return all(getattr(self, name) == getattr(other, name) for name in names)


class ExportFolder(LockedFolder):
    """The folder of one place, which is a socket or an address with a port."""

    @classmethod
    def of(cls, place: str) -> ExportFolder:
        return cls(os.path.join(run_directory("exports"), name_of(place)))

    def is_empty(self) -> bool:
        return not os.path.lexists(os.path.join(self.path, _STATE))

    def load(self) -> Journal | None:
        """None where nothing is served, or left. Raises DiskInUse for a journal out of order."""
        path = os.path.join(self.path, _STATE)
        try:
            with open(path, "rb") as stream:
                facts = json.load(stream)
            if facts["server"] is not None:
                facts["server"] = Process(*facts["server"])
            known = {field.name for field in dataclasses.fields(Journal)}
            return Journal(**{name: facts[name] for name in known & facts.keys()})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_oserror(error, "read the state of the export", path) from error
        except (ValueError, TypeError, KeyError, AttributeError):
            hint = "End the process vdisk-export that serves there, and remove this file."
            raise DiskInUse("the state of the export is damaged", path=path, hint=hint) from None

    def save(self, journal: Journal) -> None:
        """Durable when it returns."""
        text = json.dumps(dataclasses.asdict(journal), indent=1)
        write_durably(os.path.join(self.path, _STATE), text.encode())

    def claim_socket(self, path: str) -> None:
        """The socket there is ours: nobody else's is ever removed."""
        status = os.lstat(path)
        facts = {"path": path, "device": status.st_dev, "inode": status.st_ino}
        write_durably(os.path.join(self.path, _SOCKET), json.dumps(facts).encode())

    def remove_socket(self) -> None:
        """If it is still the one that we made."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            with open(os.path.join(self.path, _SOCKET), "rb") as stream:
                facts = json.load(stream)
            status = os.lstat(facts["path"])
            same = (status.st_dev, status.st_ino) == (facts["device"], facts["inode"])
            if same and stat.S_ISSOCK(status.st_mode):
                os.unlink(facts["path"])

    def clear(self) -> None:
        """Forget the export. The journal goes last, so that a killed clearing is repeated."""
        self.remove_socket()
        temporary = [name + TEMPORARY_SUFFIX for name in (CLOSED, _SOCKET, _STATE)]
        for name in (LOG, CLOSED, _SOCKET, *temporary, _STATE):
            remove_if_there(os.path.join(self.path, name))
