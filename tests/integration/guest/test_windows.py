# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Windows guest: hives written by hivex, on a volume made by mkntfs and filled by ntfs-3g."""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import shutil
import struct
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import CorruptDisk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.guest import facts_of
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.windows import hive
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.windows.hive import Hive

MIB = 1 << 20
STOPPED = datetime.datetime(2026, 11, 20, 22, 15, 0, tzinfo=datetime.timezone.utc)

SOFTWARE = r"""Windows Registry Editor Version 5.00

[\Microsoft]
[\Microsoft\Windows NT]
[\Microsoft\Windows NT\CurrentVersion]
"ProductName"="Windows 10 Pro"
"EditionID"="Professional"
"DisplayVersion"="23H2"
"CurrentBuildNumber"="22631"
"CurrentMajorVersionNumber"=dword:0000000a
"CurrentMinorVersionNumber"=dword:00000000
"UBR"=dword:00000f0c
"InstallDate"=dword:65a0c980

[\Microsoft\Windows NT\CurrentVersion\ProfileList]
[\Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-21-1-2-3-1001]
"ProfileImagePath"="C:\\Users\\gerda"

[\Microsoft\Cryptography]
"MachineGuid"="9b3c1f4e-0d5a-4f6b-8a53-0e2f6a1c7d11"

[\Microsoft\Windows]
[\Microsoft\Windows\CurrentVersion]
[\Microsoft\Windows\CurrentVersion\Uninstall]
[\Microsoft\Windows\CurrentVersion\Uninstall\{1}]
"DisplayName"=hex(1):@NAME@
"DisplayVersion"="7.0.1"

[\Microsoft\Windows\CurrentVersion\Uninstall\{2}]
"DisplayName"="Hidden part"
"SystemComponent"=dword:00000001

[\Microsoft\Windows\CurrentVersion\Uninstall\{3}]
"Comments"="without a name"

[\WOW6432Node]
[\WOW6432Node\Microsoft]
[\WOW6432Node\Microsoft\Windows]
[\WOW6432Node\Microsoft\Windows\CurrentVersion]
[\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall]
[\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall\Old]
"DisplayName"="Old tool"
"DisplayVersion"="1.2"
"""

SYSTEM = r"""Windows Registry Editor Version 5.00

[\Select]
"Current"=dword:00000002

[\ControlSet001]
[\ControlSet002]
[\ControlSet002\Control]
[\ControlSet002\Control\ComputerName]
[\ControlSet002\Control\ComputerName\ComputerName]
"ComputerName"="WEB01"

[\ControlSet002\Control\TimeZoneInformation]
"TimeZoneKeyName"="W. Europe Standard Time"

[\ControlSet002\Control\Windows]
"ShutdownTime"=hex:{stopped}

[\ControlSet002\Control\Session Manager]
[\ControlSet002\Control\Session Manager\Environment]
"PROCESSOR_ARCHITECTURE"="AMD64"

[\ControlSet002\Services]
{services}
"""

SAM = r"""Windows Registry Editor Version 5.00

[\SAM]
[\SAM\Domains]
[\SAM\Domains\Account]
[\SAM\Domains\Account\Users]
[\SAM\Domains\Account\Users\000001F5]
"F"=hex:{disabled}

[\SAM\Domains\Account\Users\000003E9]
"F"=hex:{enabled}

[\SAM\Domains\Account\Users\Names]
[\SAM\Domains\Account\Users\Names\Guest]
@=hex(1f5):

[\SAM\Domains\Account\Users\Names\gerda]
@=hex(3e9):
"""
SERVICES = {
    "Spooler": (0x110, 2),
    "disk": (1, 0),
    "W32Time": (0x20, 3),
    "RemoteRegistry": (0x20, 4),
}
MANY = [f"Service{number:04}" for number in range(60)]  # so that lists of lists are needed

pytestmark = pytest.mark.serial


def empty_hive():
    """A hive with a root key and nothing in it (the format: libregf's documentation)."""
    none, owner = 0xFFFFFFFF, 120  # where the cell of security descriptors lies
    numbers = (0, 0, 0, 0, none, none, 0, none, owner, none, *[0] * 5)
    key = struct.pack("<2sHQ15IHH", b"nk", 0x2C, 0, *numbers, 4, 0) + b"ROOT"
    security = struct.pack("<2sHIIII", b"sk", 0, owner, owner, 1, 0)
    cells = struct.pack("<i", -88) + key.ljust(84, b"\0") + struct.pack("<i", -24) + security
    block = (struct.pack("<4sII8xQI", b"hbin", 0, 4096, 0, 0) + cells).ljust(144, b"\0")
    free = 4096 - len(block)
    block += struct.pack("<i", free) + bytes(free - 4)
    head = struct.pack("<4sIIQIIIIIII", b"regf", 1, 1, 0, 1, 3, 0, 1, 32, 4096, 1).ljust(508, b"\0")
    check = 0
    for (word,) in struct.iter_unpack("<I", head):
        check ^= word
    return (head + struct.pack("<I", check)).ljust(4096, b"\0") + block


def hex_of(data):
    return ",".join(f"{byte:02x}" for byte in data)


def system_text():
    kinds = {**SERVICES, **dict.fromkeys(MANY, (0x10, 2))}
    services = "\n".join(
        f'[\\ControlSet002\\Services\\{name}]\n"Type"=dword:{kind:08x}\n"Start"=dword:{start:08x}\n'
        for name, (kind, start) in kinds.items()
    )
    ticks = int((STOPPED.timestamp() + 11644473600) * 10**7)
    return SYSTEM.format(stopped=hex_of(struct.pack("<Q", ticks)), services=services)


def sam_text():
    account = {"disabled": 0x211, "enabled": 0x210}
    return SAM.format(
        **{name: hex_of(bytes(56) + struct.pack("<H", bits)) for name, bits in account.items()}
    )


@pytest.fixture(scope="module")
def hives(tmp_path_factory, tool):
    """The three files, filled by hivexregedit."""
    folder = tmp_path_factory.mktemp("hives")
    name = hex_of("Größenwahn 7\0".encode("utf-16-le"))  # hivexregedit takes texts for Latin-1
    texts = {
        "SOFTWARE": SOFTWARE.replace("@NAME@", name),
        "system": system_text(),
        "SAM": sam_text(),
    }
    for name, text in texts.items():
        path = folder / name
        path.write_bytes(empty_hive())
        tool(
            "hivexregedit",
            "--merge",
            "--encoding",
            "UTF-16LE",
            path,
            text=text.replace("]\n[", "]\n\n["),
        )
    return folder


@pytest.fixture(scope="module")
def guest(hives, tmp_path_factory, tool):
    """An NTFS volume with these hives, in a folder that is spelled as some versions do."""
    path = tmp_path_factory.mktemp("windows") / "c.img"
    with open(path, "wb") as stream:
        stream.truncate(48 * MIB)
    tool("mkntfs", "-q", "-F", "-L", "System", path)
    with_folder(path, tool)
    for file in hives.iterdir():
        tool("ntfscp", "-q", path, file, f"WINDOWS/system32/config/{file.name}")
    return path


def with_folder(path, tool):
    point = path.with_name("mnt")
    point.mkdir()
    tool("ntfs-3g", path, point)
    (point / "WINDOWS/system32/config").mkdir(parents=True)
    tool("umount", point)


@pytest.fixture
def facts(guest, ask, point):
    session.mount(ask(guest, "served", read_only=True))
    try:
        yield facts_of(str(point))
    finally:
        session.unmount(str(point))


def test_the_system(facts):
    expected = {
        "id": "windows", "family": "windows", "name": "Windows 11 Pro",
        "version": "10.0.22631.3852", "hostname": "WEB01", "architecture": "x86_64",
        "timezone": "W. Europe Standard Time", "package_manager": None, "kernels": [],
        "machine_id": "9b3c1f4e-0d5a-4f6b-8a53-0e2f6a1c7d11", "problems": [],
    }  # fmt: skip
    assert {name: facts[name] for name in expected} == expected
    own = facts["windows"]
    assert (own["edition"], own["release"], own["build"]) == ("Professional", "23H2", "22631")
    assert own["installed"] == "2024-01-12T05:09:20Z"
    assert own["last_shutdown"] == "2026-11-20T22:15:00Z"
    starts = {each["name"]: each["start"] for each in own["services"]}
    assert (starts["W32Time"], starts["RemoteRegistry"]) == ("manual", "disabled")
    assert facts["services"] == sorted(["Spooler", *MANY])  # drivers, and what waits, are not
    assert [tuple(each.values()) for each in facts["packages"]] == [
        ("Größenwahn 7", "7.0.1", "x86_64", "windows", ""),
        ("Old tool", "1.2", "i686", "windows", ""),
    ]
    users = {each["name"]: tuple(each.values())[1:] for each in facts["users"]}
    assert users == {
        "Guest": (501, None, None, None, "locked"),
        "gerda": (1001, None, "C:\\Users\\gerda", None, "unknown"),
    }


def test_services_are_those_that_hivex_lists(hives, tool):
    script = "cd \\ControlSet002\\Services\nls\n"
    listed = tool("hivexsh", hives / "system", text=script).split()
    key = Hive((hives / "system").read_bytes(), "SYSTEM").key("controlset002\\SERVICES")
    assert sorted(each.name for each in key.subkeys()) == sorted(listed)


def test_a_hive_that_was_not_closed_is_told(hives, tmp_path):
    folder = tmp_path / "Windows/System32/config"
    shutil.copytree(hives, folder)
    with open(folder / "SOFTWARE", "r+b") as stream:
        stream.seek(4)
        stream.write(struct.pack("<I", 99))
    found = facts_of(str(tmp_path))
    assert found["name"] == "Windows 11 Pro"
    assert len(found["problems"]) == 1 and "SOFTWARE" in found["problems"][0]


def test_a_damaged_hive_is_told_and_the_others_are_read(hives, tmp_path):
    folder = tmp_path / "Windows/System32/config"
    shutil.copytree(hives, folder)
    (folder / "SAM").write_bytes(b"regf" + bytes(9000))
    found = facts_of(str(tmp_path))
    assert (found["hostname"], found["users"]) == ("WEB01", [])
    assert any("SAM" in problem for problem in found["problems"])


def test_any_damage_of_a_hive_is_told_as_such(hives):
    """Whatever is flipped: an answer or CorruptDisk, and soon."""
    whole = (hives / "system").read_bytes()
    noise = random.Random(int(os.environ.get("VDISK_SEED", "7")))
    begin = time.monotonic()
    for _round in range(60):
        data = bytearray(whole)
        for _flip in range(noise.choice((1, 20, 400))):
            data[noise.randrange(len(data))] = noise.choice((0, 0xFF, noise.randrange(256)))
        with contextlib.suppress(CorruptDisk):
            walk(Hive(bytes(data), "SYSTEM").root())
    assert time.monotonic() - begin < 60


def walk(key, depth=0):
    for value in key.values():
        value.text(), value.number()
    for each in key.subkeys() if depth < 8 else ():
        walk(each, depth + 1)


def test_a_hive_that_leads_in_circles_is_given_up(monkeypatch):
    """A key that is its own sub-key, ever deeper."""
    monkeypatch.setattr(hive, "_WORK", 20_000)
    data = bytearray(empty_hive())
    struct.pack_into("<I", data, 4096 + 32 + 4 + 20, 1)  # sub-keys
    struct.pack_into("<I", data, 4096 + 32 + 4 + 28, 144)  # their list
    entries = struct.pack("<2sH", b"li", 400) + struct.pack("<I", 32) * 400
    data[4096 + 144 : 4096 + 148] = struct.pack("<i", -(len(entries) + 4))
    data[4096 + 148 : 4096 + 148 + len(entries)] = entries
    with pytest.raises(CorruptDisk, match="in circles"):
        walk(Hive(bytes(data), "SYSTEM").root())
