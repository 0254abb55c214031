# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worked example of docs/repository-format.md is what the code writes.

VDISK_UPDATE_DOCS=1 puts the example that the code makes now into the document.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import struct
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import (
    keys,
    times,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.document import (
    read_document,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write import backup
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source

DOCUMENT = Path(__file__).parents[5] / "docs" / "repository-format.md"
BEGIN = "<!-- example begins: made by test_format_document.py -->\n"
END = "<!-- example ends -->"
DISK = b"A disk this short has one chunk, kept raw and then encrypted."


def _now():
    return datetime.datetime(2026, 11, 22, 2, tzinfo=datetime.timezone.utc)


@pytest.fixture
def no_chance(monkeypatch, helpers):
    """Salts, nonces, ids and the time are the same in every run."""
    taken = []

    def urandom(length):
        taken.append(length)
        return hashlib.shake_128(b"%d" % len(taken)).digest(length)

    monkeypatch.setattr(os, "urandom", urandom)
    monkeypatch.setattr(times, "now", _now)
    monkeypatch.setattr(backup, "monotonic", lambda: 0.0)
    monkeypatch.setattr(keys, "COST", helpers.REAL_COST)


def test_the_example_is_what_the_code_writes(no_chance, helpers, tmp_path):
    made = helpers.Helper(str(tmp_path / "repository"), "aes-256-gcm").create()
    made.back_up([helpers.disk(DISK)], Source("disk", "web01-uuid", "web01"), name="first")
    example = BEGIN + describe(tmp_path / "repository", made) + END
    text = DOCUMENT.read_text()
    if os.environ.get("VDISK_UPDATE_DOCS"):
        text = text[: text.index(BEGIN)] + example + text[text.index(END) + len(END) :]
        DOCUMENT.write_text(text)
    assert example in text


def describe(folder, made):
    subkeys = made._access.subkeys
    parts = [
        block("The 61 bytes of the disk:", dump(DISK)),
        document(folder, "repo.json"),
        document(folder, next((folder / "keys").iterdir()).relative_to(folder)),
        (
            "The keys:\n\n```text\n"
            f"master key  {subkeys.master.hex()}\n"
            f"id          {subkeys._id_key.hex()}\n"
            f"sign        {subkeys._sign_key.hex()}\n```\n"
        ),
    ]
    (point,) = made.points()
    map_pack = point.disks[0].maps[0].location.pack.hex()
    paths = sorted(folder.glob("packs/*/*"), key=lambda path: path.name == map_pack)
    parts += [pack(path, path.relative_to(folder), subkeys, map_pack) for path in paths]
    content = made._access.packs.read(point.disks[0].maps[0].location, 76)
    parts.append(block("The content of the map, one entry:", dump(bytes(content))))
    facts = read_document(point.key, (folder / point.key).read_bytes(), subkeys)
    parts.append(f"`{point.key}`, decrypted:\n\n```json\n{json.dumps(facts)}\n```\n")
    return "\n" + "\n".join(parts) + "\n"


def document(folder, name):
    return f"`{name}`:\n\n```json\n{(folder / name).read_text()}```\n"


def pack(path, name, subkeys, map_pack):
    data = path.read_bytes()
    length = struct.unpack("<I", data[-4:])[0]
    table = len(data) - 4 - length
    ranges = [
        ("magic", 0, 4),
        ("salt", 4, 36),
        ("blob 0, encrypted, with its tag", 36, table),
        ("table, encrypted, with its tag", table, len(data) - 4),
        ("length of the stored table", len(data) - 4, len(data)),
    ]
    lines = [f"key of this pack: {subkeys.pack_key(data[4:36]).hex()}"]
    for label, start, end in ranges:
        lines += [f"-- {label}", *dump(data[start:end], start)]
    kind = "the map" if path.name == map_pack else "the chunk"
    return block(f"`{name}`, {len(data)} bytes, with {kind}:", lines)


def block(title, lines):
    return f"{title}\n\n```text\n" + "\n".join(lines) + "\n```\n"


def dump(data, base=0):
    lines = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{base + start:08x}  {row.hex(' '):<47}  {text}")
    return lines
