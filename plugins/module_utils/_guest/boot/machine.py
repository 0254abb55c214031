# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The machine that a disk is started in, and what QEMU is told of it."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from .firmware import EfiFiles

BUSES = ("virtio", "ide", "sata", "nvme", "pvscsi", "lsisas", "lsilogic")
# What a VMDK or a backup says of the controller. VMware writes lsilogic for any SCSI disk, so most
# of these are PVSCSI; of the others only the SAS one exists in QEMU.
_BUS_OF = {
    "ide": "ide",
    "lsilogic": "pvscsi",
    "buslogic": "pvscsi",
    "pvscsi": "pvscsi",
    "paravirtual": "pvscsi",
    "lsisas": "lsisas",
    "lsilogicsas": "lsisas",  # as vSphere's controllers are named here
    "sata": "sata",
    "ahci": "sata",
    "nvme": "nvme",
}
_CONTROLLERS = {
    "sata": "ahci,id=disks",
    "pvscsi": "pvscsi,id=disks",
    "lsisas": "mptsas1068,id=disks",
    "lsilogic": "lsi53c895a,id=disks",
}
# No child processes, no other user, no system calls of another age.
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
AGENT_PORT = "org.qemu.guest_agent.0"
PICTURE_SET = 1  # the set of file descriptors that a picture of the screen is written to


class Files(t.NamedTuple):
    """The numbers of open files by which QEMU has all that it gets: nothing of it has a name."""

    disks: tuple[int, ...]  # sockets of NBD servers
    channels: tuple[int, ...]  # QEMU's end of the control channel, the console, and the agent's
    picture: int


@dataclasses.dataclass(frozen=True)
class Machine:
    """Of one architecture, with its disks on one bus."""

    architecture: str
    machine: str
    accelerator: str  # kvm or tcg
    bus: str
    memory: int  # bytes
    cpus: int
    network: str  # none, or isolated: a cable to nowhere
    efi: EfiFiles | None = None

    @property
    def program(self) -> str:
        return f"qemu-system-{self.architecture}"

    @property
    def package(self) -> str:
        """Debian's, of that program."""
        return "qemu-system-arm" if self.architecture == "aarch64" else "qemu-system-x86"

    def arguments(self, files: Files) -> list[str]:
        """What follows the name of the program."""
        return [
            *("-nodefaults", "-no-user-config", "-display", "none", "-sandbox", _SANDBOX),
            *("-name", "vdisk-boot", "-rtc", "base=utc"),
            *self._board(),
            *self._channels(files),
            *self._network(),
            *(part for number, fd in enumerate(files.disks) for part in self._disk(number, fd)),
        ]

    def _board(self) -> list[str]:
        # Without graphics: the BIOS writes to the serial port what it writes to the screen.
        options = "" if self.architecture == "aarch64" else ",graphics=off"
        found = [
            *("-machine", f"{self.machine},accel={self.accelerator}{options}"),
            *("-cpu", self._processor()),
            *("-m", f"{self.memory >> 20}M", "-smp", str(self.cpus)),
        ]
        if self.architecture == "aarch64":
            found += ["-device", "virtio-gpu-pci"]
        else:
            found += ["-vga", "std", "-device", "pvpanic"]
        if self.bus in _CONTROLLERS:
            found += ["-device", _CONTROLLERS[self.bus]]
        return found + self._firmware()

    def _processor(self) -> str:
        if self.accelerator == "kvm":
            return "host"
        # A fifth level of page tables is one more to walk, for memory that nobody gives it.
        return "max" if self.architecture == "aarch64" else "max,la57=off"

    def _firmware(self) -> list[str]:
        if self.efi is None:
            return []
        flash = "if=pflash,format=raw"
        return [
            *("-drive", f"{flash},unit=0,readonly=on,file={_quoted(self.efi.code)}"),
            *("-drive", f"{flash},unit=1,snapshot=on,file={_quoted(self.efi.variables)}"),
        ]

    def _channels(self, files: Files) -> list[str]:
        control, console, agent = files.channels
        return [
            *("-chardev", f"socket,id=control,fd={control}"),
            *("-mon", "chardev=control,mode=control"),
            *("-chardev", f"socket,id=console,fd={console}", "-serial", "chardev:console"),
            *("-chardev", f"socket,id=agent,fd={agent}"),
            *("-device", "virtio-serial-pci"),
            *("-device", f"virtserialport,id=agent-port,chardev=agent,name={AGENT_PORT}"),
            *("-add-fd", f"fd={files.picture},set={PICTURE_SET}"),
        ]

    def _network(self) -> list[str]:
        if self.network == "none":
            return ["-nic", "none"]
        model = "virtio-net-pci" if self.architecture == "aarch64" else "vmxnet3"
        return ["-nic", f"user,restrict=on,ipv6=off,model={model}"]

    def _disk(self, number: int, fd: int) -> list[str]:
        name = f"disk{number}"
        return [
            *("-blockdev", f"driver=nbd,node-name={name},server.type=fd,server.str={fd}"),
            *("-device", f"{self._model(number)},drive={name},bootindex={number}"),
        ]

    def _model(self, number: int) -> str:
        if self.bus == "virtio":
            return "virtio-blk-pci"
        if self.bus == "nvme":
            return f"nvme,serial=vdisk{number}"
        if self.bus == "ide":
            return "ide-hd"
        if self.bus == "sata":
            return f"ide-hd,bus=disks.{number}"
        target = number if number < 7 else number + 1  # 7 is the controller's own
        return f"scsi-hd,bus=disks.0,scsi-id={target}"


def bus_of(adapter: str | None) -> str:
    """The bus for a disk whose controller was of that kind."""
    return _BUS_OF.get((adapter or "").lower(), "virtio")


def _quoted(path: str) -> str:
    """As QEMU wants a value among others."""
    return path.replace(",", ",,")
