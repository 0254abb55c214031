# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the faults of vSphere mean for an operator."""

from __future__ import annotations

import contextlib
import typing as t

from ..._device.errors import (
    AccessDenied,
    DiskError,
    DiskExists,
    DiskInUse,
    DiskNotFound,
    InvalidRequest,
    NoSpace,
    ObjectNotFound,
    UnsupportedDisk,
    VSphereFault,
)

if t.TYPE_CHECKING:
    from .target import VCenter

    Meaning: t.TypeAlias = "tuple[type[DiskError], str | None, str | None]"

# By the name of a fault or of one of its base classes: the error, its reason in our words where
# vSphere's own are poor, and what to do about it.
_MEANINGS: dict[str, Meaning] = {
    "InvalidLogin": (
        AccessDenied,
        "wrong user name or password",
        (
            "Check username and password (VMWARE_USER, VMWARE_PASSWORD). The user is named with its"
            " domain, as in backup@vsphere.local. Too many wrong passwords lock an account."
        ),
    ),
    "NotAuthenticated": (
        AccessDenied,
        "the session has ended, and logging in again did not help",
        "Is the account still valid, and may it log in as often as it does?",
    ),
    "MethodDisabled": (
        DiskInUse,
        "this operation is disabled for the object at the moment",
        (
            "A backup, or another product that works on it, disables operations for as long as it"
            " runs. If none does, see VMware's KB 2008957 about leftovers of such jobs."
        ),
    ),
    "RestrictedVersion": (
        AccessDenied,
        "the licence of this host does not allow changes through the API",
        "The free ESXi licence is read-only for programs; add the host to a vCenter.",
    ),
    "NotEnoughLicenses": (AccessDenied, None, "Check the licences of the host and of vCenter."),
    "FileNotFound": (DiskNotFound, "there is no such file", None),
    "FileAlreadyExists": (DiskExists, "something of that name is already there", None),
    "DuplicateName": (DiskExists, "something of that name is already there", None),
    "FileLocked": (
        DiskInUse,
        "the file is locked",
        "A running virtual machine, or a backup with the disk attached, has it open.",
    ),
    "CannotAccessFile": (
        DiskInUse,
        None,
        (
            "The file may be in use by a running virtual machine, or its datastore out of reach of"
            " the host."
        ),
    ),
    "NoDiskSpace": (NoSpace, "the datastore is full", "Free some space on the datastore."),
    "ManagedObjectNotFound": (
        ObjectNotFound,
        "the object is not there (any more)",
        "Somebody may have deleted it, or moved it to another vCenter, meanwhile.",
    ),
    "InvalidDatastorePath": (
        InvalidRequest,
        "that is no path of a datastore",
        "Write it as [datastore1] web01/web01.vmdk.",
    ),
    "InaccessibleDatastore": (
        VSphereFault,
        "the datastore is out of reach",
        "Look at the datastore's state in vCenter, and at the host's path to it.",
    ),
    "InvalidDatastore": (DiskNotFound, "there is no such datastore", None),
    "InvalidPowerState": (
        VSphereFault,
        "the virtual machine's power state does not allow it",
        None,
    ),
    "InvalidState": (
        VSphereFault,
        "the object's state does not allow it now",
        (
            "Another operation may be running on it, or its host may be disconnected. Look at its"
            " tasks in vCenter and try again."
        ),
    ),
    "TaskInProgress": (
        DiskInUse,
        "another task is running on the object",
        "Look at its tasks in vCenter, and try again when they have ended.",
    ),
    "ConcurrentAccess": (
        DiskInUse,
        "somebody else changed the object at the same moment",
        "Try again.",
    ),
    "ApplicationQuiesceFault": (
        VSphereFault,
        "the applications in the guest could not be brought to rest",
        "Look at VMware Tools in the guest, its VSS writers, and its pre-freeze scripts.",
    ),
    "FilesystemQuiesceFault": (
        VSphereFault,
        "the guest's file systems could not be brought to rest",
        "Look at VMware Tools in the guest, and whether its disks are too busy.",
    ),
    "TooManySnapshotLevels": (
        VSphereFault,
        "there are too many snapshots already",
        "Delete snapshots that nobody needs.",
    ),
    "HostCommunication": (
        VSphereFault,
        "vCenter cannot reach the ESXi host",
        "Look at the host's state in vCenter.",
    ),
    "InsufficientResourcesFault": (
        VSphereFault,
        None,
        "Look at the free resources of the host or cluster.",
    ),
    "Timedout": (VSphereFault, "vSphere gave up waiting", "Try again when there is less load."),
    "RequestCanceled": (VSphereFault, "somebody cancelled it", None),
    "GenericVmConfigFault": (
        VSphereFault,
        None,
        "The log of the virtual machine (vmware.log in its folder) says more.",
    ),
    "MethodNotFound": (UnsupportedDisk, "this server cannot do that", None),
    "NotSupported": (UnsupportedDisk, "this is not supported for the object", None),
    "NotImplemented": (UnsupportedDisk, "this server cannot do that", None),
}
_ANY: Meaning = (VSphereFault, None, None)


def fault_name(error: BaseException | None) -> str | None:
    """The vSphere name (`InvalidState`) of a fault, or of the one that a DiskError came from."""
    if isinstance(error, DiskError):
        error = error.__cause__
    return _short(type(error)) if hasattr(error, "faultCause") else None


def from_fault(fault: t.Any, vcenter: VCenter, what: str, target: str | None = None) -> DiskError:
    """The DiskError for a fault. `what` goes on after "cannot", `target` is the object's name."""
    names = [_short(kind) for kind in type(fault).__mro__]
    kind, reason, hint = next((_MEANINGS[name] for name in names if name in _MEANINGS), _ANY)
    if "NoPermission" in names and "NotAuthenticated" not in names:
        kind, reason, hint = AccessDenied, _lacking(fault, vcenter), _GRANT
    told = reason or _own_words(fault)
    target = target or getattr(fault, "file", None) or getattr(fault, "datastorePath", None)
    where = f" at {vcenter.hostname}" if target else ""
    return kind(
        f"cannot {what}{where}: {told} ({names[0]})", path=target or vcenter.hostname, hint=hint
    )


_GRANT = (
    "Put the privilege into a role that the user has on that object, or on one above it with"
    ' "Propagate to children".'
)


def _lacking(fault: t.Any, vcenter: VCenter) -> str:
    privilege = fault.privilegeId or "that is needed"
    return f"{vcenter.username} lacks the privilege {privilege} on {_named(fault.object)}"


def _named(entity: t.Any) -> str:
    """Type, name and id of a managed object. The name is asked for; it may be hidden, too."""
    if entity is None:
        return "the object"
    label = f"{_short(type(entity))} {entity._moId}"
    with contextlib.suppress(Exception):
        return f'{_short(type(entity))} "{entity.name}" ({entity._moId})'
    return label


def _own_words(fault: t.Any) -> str:
    """vSphere's own: the message, and what its details add."""
    said = [getattr(fault, "reason", None), getattr(fault, "msg", None)]
    said += [detail.message for detail in getattr(fault, "faultMessage", None) or ()]
    texts = [text.strip().rstrip(".") for text in said if isinstance(text, str) and text.strip()]
    return "; ".join(dict.fromkeys(texts)) or "vSphere does not say why"


def _short(kind: type) -> str:
    return kind.__name__.rpartition(".")[2]
