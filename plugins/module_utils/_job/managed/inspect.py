# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is known about a managed disk, and who needs it."""

from __future__ import annotations

import typing as t

from ..._vsphere.disks.fcd import is_first_class
from ..._vsphere.disks.users import users_of
from .describe import describe_managed
from .first_class_disk import find, own_facts

if t.TYPE_CHECKING:
    from ..._transport.datastore import DatastoreDevice
    from ..plan import Result


def describe_with_users(disk: DatastoreDevice) -> Result:
    """The `disk` value of results. Raises DiskError."""
    users = users_of(disk.session, disk.place, disk.descriptor.get("ddb.uuid"))
    facts = {**describe_managed(disk), "users": [user.facts() for user in users]}
    if is_first_class(disk.name):
        facts.update(own_facts(find(disk.session, disk.name)))
    return facts
