# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Leases of exports and imports (HttpNfcLease) that dead runs have left."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError
from ..connection import libraries
from ..connection.collect import properties
from ..connection.errors import fault_name

if t.TYPE_CHECKING:
    from ..connection.session import Session
    from .journal import Entry

LEASE = "lease"  # kind of entries in a journal
_GONE = ("ManagedObjectNotFound", "NotAuthenticated", "NoPermission")
_ENDED = ("done", "error")


def abort_lease(session: Session, entry: Entry) -> bool:
    """Whether there was one: it holds what it exports until it dies, which takes some minutes.

    Those that went with the session of their run are not to be found any more. Raises DiskError.
    """
    lease = libraries.vim().HttpNfcLease(entry.facts["lease"], session.content.rootFolder._stub)
    try:
        if properties(session, lease, ("state",)).get("state") in _ENDED:
            return False
        session.call(lease.HttpNfcLeaseAbort, "abort a lease", entry.facts["vm_name"])
    except DiskError as error:
        if fault_name(error) in _GONE:
            return False
        raise
    return True
