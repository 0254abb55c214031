# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles that lack something: POST mode {"denied": ["VirtualMachine.State.CreateSnapshot"]}.

Which method wants which privilege: the vSphere Web Services API reference, under each method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .handlers import FORWARD, handles, mode
from .soap import Call, Fault, Reply, reply, tag

if TYPE_CHECKING:
    from .simulator import Simulator

mode("denied", [])

WANTED = {
    "CreateSnapshot_Task": "VirtualMachine.State.CreateSnapshot",
    "CreateSnapshotEx_Task": "VirtualMachine.State.CreateSnapshot",
    "RemoveSnapshot_Task": "VirtualMachine.State.RemoveSnapshot",
    "RemoveAllSnapshots_Task": "VirtualMachine.State.RemoveSnapshot",
    "ConsolidateVMDisks_Task": "VirtualMachine.State.RemoveSnapshot",
    "RevertToSnapshot_Task": "VirtualMachine.State.RevertToSnapshot",
    "RevertToCurrentSnapshot_Task": "VirtualMachine.State.RevertToSnapshot",
    "QueryChangedDiskAreas": "VirtualMachine.Provisioning.DiskRandomRead",
    "ExportSnapshot": "VApp.Export",
    "ExportVm": "VApp.Export",
    "ImportVApp": "VApp.Import",
    "CreateVM_Task": "VirtualMachine.Inventory.Create",
    "RegisterVM_Task": "VirtualMachine.Inventory.Register",
    "UnregisterVM": "VirtualMachine.Inventory.Unregister",
    "Destroy_Task": "VirtualMachine.Inventory.Delete",
    "PowerOnVM_Task": "VirtualMachine.Interact.PowerOn",
    "PowerOffVM_Task": "VirtualMachine.Interact.PowerOff",
    "CreateVirtualDisk_Task": "Datastore.FileManagement",
    "DeleteVirtualDisk_Task": "Datastore.FileManagement",
    "MoveVirtualDisk_Task": "Datastore.FileManagement",
    "CopyVirtualDisk_Task": "Datastore.FileManagement",
    "ExtendVirtualDisk_Task": "Datastore.FileManagement",
    "InflateVirtualDisk_Task": "Datastore.FileManagement",
    "EagerZeroVirtualDisk_Task": "Datastore.FileManagement",
    "ZeroFillVirtualDisk_Task": "Datastore.FileManagement",
    "ShrinkVirtualDisk_Task": "Datastore.FileManagement",
    "DefragmentVirtualDisk_Task": "Datastore.FileManagement",
    "SetVirtualDiskUuid": "Datastore.FileManagement",
    "MakeDirectory": "Datastore.FileManagement",
    "CreateDirectory": "Datastore.Config",
    "MoveDatastoreFile_Task": "Datastore.FileManagement",
    "DeleteDatastoreFile_Task": "Datastore.FileManagement",
    "SearchDatastore_Task": "Datastore.Browse",
    "SearchDatastoreSubFolders_Task": "Datastore.Browse",
    "AddCustomFieldDef": "Global.ManageCustomFields",
    "SetField": "Global.SetCustomField",
}


def denied(simulator: Simulator, call: Call) -> None:
    """Raises NoPermission, as for a role without the privilege."""
    lacking = [each for each in _wanted(call) if each in simulator.mode["denied"]]
    if lacking:
        detail = tag("object", call.id, type=call.type) + tag("privilegeId", lacking[0])
        message = "Permission to perform this operation was denied."
        raise Fault("NoPermission", message, detail)


def _wanted(call: Call) -> list[str]:
    if call.method == "ReconfigVM_Task":
        return _reconfiguration(call)
    return [WANTED[call.method]] if call.method in WANTED else []


def _reconfiguration(call: Call) -> list[str]:
    """By what the specification changes."""
    spec = call.body.find("spec")
    wanted = ["VirtualMachine.Config.Settings"]
    if spec is None:
        return wanted
    if spec.find("changeTrackingEnabled") is not None:
        wanted.append("VirtualMachine.Config.ChangeTracking")
    for change in spec.findall("deviceChange"):
        device = change.find("device")
        if device is None or device.get("xsi:type") != "VirtualDisk":
            continue
        created = change.findtext("fileOperation") == "create"
        operations = {
            "add": "VirtualMachine.Config." + ("AddNewDisk" if created else "AddExistingDisk"),
            "remove": "VirtualMachine.Config.RemoveDisk",
            "edit": "VirtualMachine.Config.EditDevice",
        }
        wanted.append(operations[change.findtext("operation") or "edit"])
    return wanted


@handles("HasPrivilegeOnEntities")
def has_privileges(simulator: Simulator, call: Call) -> Reply | object:
    """Everything but what is denied."""
    if not simulator.mode["denied"]:
        return FORWARD
    privileges = [each.text or "" for each in call.body.findall("privId")]
    answers = []
    for entity in call.body.findall("entity"):
        available = [
            tag(
                "privAvailability",
                tag("privId", each),
                tag("isGranted", each not in simulator.mode["denied"]),
            )
            for each in privileges
        ]
        reference = tag("entity", entity.text, type=entity.get("type", ""))
        answers.append(tag("returnval", reference, *available))
    return reply(call, *answers)
