# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One at a time: who drops, compacts and collects. docs/repository-format.md, "Deleting"."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskInUse
from ..store.session import SESSIONS

if t.TYPE_CHECKING:
    import types

    from ..store.protocol import Store

FLAGS = "locks/collect/"


class Lease:
    """A session and a flag with its name. Who raised his flag and then sees no other flag of a
    living session is alone: of two, the later one sees the earlier one's."""

    def __init__(self, store: Store) -> None:
        """Raises DiskInUse where somebody else has it."""
        self._store = store
        store.sweep()
        self.session = store.begin_session()
        self._flag = FLAGS + self.session.key[len(SESSIONS) :]
        try:
            store.put(self._flag, b"")
            self._refuse_others()
        except BaseException:
            self.end()
            raise

    def _refuse_others(self) -> None:
        # Flags first: whoever raises his flag has put his session before.
        flags = [stored.key for stored in self._store.list(FLAGS)]
        living = living_sessions(self._store)
        for flag in flags:
            session = SESSIONS + flag[len(FLAGS) :]
            if session not in living:
                self._store.delete(flag)
            elif session != self.session.key:
                raise DiskInUse(
                    "another vmdk_prune is at work in this repository",
                    path=self._store.url,
                    found=session,
                    hint="Wait for it to end. One that was killed counts as ended after a minute, "
                    "in an object store after a day.",
                )

    def check(self) -> None:
        """Raises DiskInUse once somebody took us for dead: from then on others may be at work."""
        if not self.session.is_alive():
            raise DiskInUse(
                "this run was taken for dead, because nothing was heard of it for too long",
                path=self._store.url,
                hint="Nothing is lost. Run it again.",
            )

    def end(self) -> None:
        self._store.delete(self._flag)
        self.session.end()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.end()


def living_sessions(store: Store) -> frozenset[str]:
    """Every session whose object is there: only Store.sweep() says that a writer is dead, and it
    says so to the writer as well, who finds his session gone."""
    return frozenset(stored.key for stored in store.list(SESSIONS))
