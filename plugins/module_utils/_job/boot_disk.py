# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Disks started in a machine, to see whether it comes up. Nothing is written to them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import socket
import typing as t

from .._device.errors import DiskNotFound, InvalidRequest
from .._device.files import write_durably
from .._device.overlay import Overlay
from .._guest.boot.firmware import efi_files, firmware_of
from .._guest.boot.machine import Machine, bus_of
from .._guest.boot.run import Proof, run
from .._guest.boot.trial import accelerator
from .._guest.command import require
from .._transport.nbd.offer import Offer
from .._transport.nbd.server import Client
from .._transport.nbd.wire import Wire
from .facts import recorded_facts
from .plan import Plan, Result
from .transaction import look, pending

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._device.device import BlockDevice
    from .._guest.boot.run import Outcome
    from .access import Access

_PATIENCE = 30  # seconds for QEMU to ask for its disks
_MOST_DISKS = {"ide": 4, "sata": 6, "pvscsi": 15, "lsisas": 15, "lsilogic": 7}
_MOST = 16
_LEAST_MEMORY = 16 << 20


@dataclasses.dataclass(frozen=True)
class BootJob:
    """Which disks shall come up, in what machine, and what proves that they did."""

    paths: tuple[str, ...]
    access: Access
    proof: Proof = dataclasses.field(default_factory=Proof)
    transaction: bool = False
    must_come_up: bool = True
    architecture: str = "x86_64"
    machine: str | None = None
    firmware: str = "auto"
    accelerator: str = "auto"
    bus: str = "auto"
    memory: int = 1 << 30
    cpus: int = 1
    network: str = "none"
    screenshot: str | None = None


def plan_boot(job: BootJob) -> Plan:
    """Nothing ever changes: check mode looks at the disks, and does not start them.

    Raises InvalidRequest, MissingTool and what opening the disks raises.
    """
    _require_sense(job)
    with contextlib.ExitStack() as undo:
        disks = [undo.enter_context(contextlib.closing(disk)) for disk in _disks(job)]
        machine, reason = _machine(job, disks)
    require(machine.program, machine.package)
    facts = {**_facts(job, machine), "accelerator_reason": reason}

    def apply() -> Result:
        outcome, troubles = _boot(job, machine)
        picture = _keep_picture(job, outcome)
        unread = f"a disk could not be read: {troubles[0]}" if troubles else None
        told = _told(facts, outcome, picture, unread)
        warnings = [unread] if unread else []
        return {"changed": False, "boot": told, "warnings": warnings, **_verdict(job, told)}

    return Plan(
        before={},
        after={},
        result={"boot": {**facts, "up": None}},
        apply=apply,
        predict=bool,
    )


def _require_sense(job: BootJob) -> None:
    try:
        re.compile(job.proof.marker)
    except re.error as error:
        raise InvalidRequest(
            f"the marker is no regular expression: {error}", found=job.proof.marker
        ) from None
    if not job.proof.wait_for or job.proof.seconds <= 0 or job.cpus < 1:
        raise InvalidRequest("wait_for needs one sign, timeout a second, and cpus one processor")
    if job.memory < _LEAST_MEMORY:
        raise InvalidRequest("no machine starts with that little memory", found=job.memory)
    folder = os.path.dirname(os.path.abspath(job.screenshot or "."))
    if job.screenshot and not os.path.isdir(folder):
        raise DiskNotFound("the folder for the screenshot is missing", path=folder)


def _machine(job: BootJob, disks: Sequence[BlockDevice]) -> tuple[Machine, str | None]:
    """And why it does not use KVM."""
    is_arm = job.architecture == "aarch64"
    firmware = job.firmware
    if firmware == "auto":
        firmware = "efi" if is_arm else firmware_of(disks[0])
    bus = bus_of(_adapter(disks[0])) if job.bus == "auto" else job.bus
    if is_arm and job.bus == "auto" and bus == "ide":
        bus = "virtio"
    if len(disks) > _MOST_DISKS.get(bus, _MOST):
        raise InvalidRequest(f"{len(disks)} disks are too many for {bus}", hint="See option bus.")
    name, reason = accelerator(job.accelerator, job.architecture)
    usual = "virt" if is_arm else "q35" if firmware == "efi" else "pc"
    machine = Machine(
        architecture=job.architecture,
        machine=job.machine or usual,
        accelerator=name,
        bus=bus,
        memory=job.memory,
        cpus=job.cpus,
        network=job.network,
        efi=efi_files(job.architecture) if firmware == "efi" else None,
    )
    return machine, reason


def _adapter(disk: BlockDevice) -> str | None:
    """What is known of the controller that the disk had."""
    base: t.Any = disk.base if isinstance(disk, Overlay) else disk
    facts = recorded_facts(base)
    return facts.get("controller") or facts.get("adapter_type")


def _disks(job: BootJob) -> Iterator[BlockDevice]:
    """Opened under their locks, and only to be read."""
    if not job.transaction:
        yield from (job.access.open(path) for path in job.paths)
        return
    transaction = pending.found(job.access, job.paths)
    if transaction is None:
        raise InvalidRequest("has no pending transaction", path=job.paths[0])
    members = dict(zip(transaction.paths, transaction.mark.members, strict=True))
    for path in job.paths:
        yield look.overlaid(job.access, path, members[path])


def _boot(job: BootJob, machine: Machine) -> tuple[Outcome, list[str]]:
    """How it went, and what went wrong with the disks."""
    troubles: list[str] = []

    def note(what: str, error: BaseException, *, write: bool) -> None:
        troubles.append(f"{what}: {error}")

    with contextlib.ExitStack() as undo:
        sockets = []
        for disk in _disks(job):
            # What is written goes beside it, into a file without a name.
            device = undo.enter_context(contextlib.closing(_overlay(disk)))
            ours, theirs = socket.socketpair()
            client = Client(Wire(ours, "QEMU", _PATIENCE), Offer("", device, False, note))
            undo.callback(_hang_up, client, theirs)
            client.start()
            sockets.append(theirs)
        return run(machine, sockets, job.proof), troubles


def _overlay(disk: BlockDevice) -> Overlay:
    try:
        return Overlay(disk)
    except BaseException:
        disk.close()
        raise


def _hang_up(client: Client, theirs: socket.socket) -> None:
    theirs.close()
    client.wire.hang_up()
    client.join(_PATIENCE)


def _keep_picture(job: BootJob, outcome: Outcome) -> str | None:
    if job.screenshot is None or outcome.picture is None:
        return None
    path = os.path.abspath(job.screenshot)
    write_durably(path, outcome.picture.as_png())
    return path


def _facts(job: BootJob, machine: Machine) -> Result:
    return {
        "path": job.paths[0],
        "disks": list(job.paths),
        "architecture": machine.architecture,
        "machine": machine.machine,
        "firmware": "efi" if machine.efi else "bios",
        "bus": machine.bus,
        "accelerator": machine.accelerator,
        "network": machine.network,
    }


def _told(facts: Result, outcome: Outcome, picture: str | None, unread: str | None) -> Result:
    return {
        **facts,
        "up": outcome.how is not None,
        "how": outcome.how,
        "problem": outcome.problem or unread,  # it may be up without what is damaged
        "seconds": outcome.seconds,
        "console_tail": outcome.console_tail,
        "screenshot": picture,
        "guest": outcome.guest,
    }


def _verdict(job: BootJob, told: Result) -> Result:
    """What makes the task fail."""
    if told["up"] or not job.must_come_up:
        return {}
    said = " / ".join(told["console_tail"][-5:]) or "nothing"
    message = f"{job.paths[0]} did not come up: {told['problem']}. Its console said last: {said}"
    return {"failed": True, "msg": message}
