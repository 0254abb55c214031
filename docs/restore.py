# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore one disk from a local vdisk.lifecycle repository, without vdisk.lifecycle.

    VDISK_PASSPHRASE=... python3 restore.py REPOSITORY POINT DISK OUTPUT

VDISK_KEY_FILE=PATH will do instead. POINT is the id or the name of a restore point; a wrong one
lists all that are there. DISK is disk0 for single disks. OUTPUT becomes a sparse raw image. If a
part of the disk is lost, it says which, and OUTPUT.partial has the rest. REPOSITORY is only read.
Needs: python3 -m pip install zstandard blake3 cryptography
The comments name sections of repository-format.md, which explains the format.
"""

from __future__ import annotations

import hmac
import json
import os
import struct
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from zstandard import ZstdDecompressor, ZstdError

RAW = 1 << 31
GROUP = 1024  # chunks
ENTRY = struct.Struct("<32sIII32s")  # Maps: pack, number, offset, length with RAW, id
ROW = struct.Struct("<32sIIB")  # Packs: id, offset, length with RAW, kind
DAMAGE = (InvalidTag, OSError, ValueError, LookupError, TypeError, struct.error, ZstdError)


def tell(what: object, error: Exception) -> None:
    print(f"{what}: {str(error) or 'it was changed or cut short'}", file=sys.stderr)


def files(folder: Path) -> list[Path]:  # Files
    found = [Path(top, name) for top, _folders, names in os.walk(folder) for name in names]
    return sorted(path for path in found if not path.name.startswith("."))


def part(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def signed(data: bytes, sign_key: bytes | None) -> Any:  # Signed documents
    body, signature, tail = data[:-68], data[-68:-4], data[-4:]
    right = hmac.new(sign_key, body, "sha256") if sign_key else blake3(body)
    if tail != b'"\n}\n' or signature != right.hexdigest().encode():
        raise ValueError("its signature does not fit its content")
    return json.loads(data)


def masters(folder: Path, secret: bytes) -> Iterator[bytes]:  # Keys
    for path in files(folder / "keys") + files(folder / "spare" / "keys"):
        try:
            key = signed(path.read_bytes(), None)
            salt, nonce, wrapped = (bytes.fromhex(key[x]) for x in ("salt", "nonce", "wrapped"))
            n, r, p = key["n"], key["r"], key["p"]
            if 128 * n * r > 1 << 30 or n * r * p > 1 << 25:
                raise ValueError("nobody makes keys that cost so much to try")
            scrypt = Scrypt(salt=salt, length=32, n=n, r=r, p=p)
            bound_to = f"vdisk key {key['repository']} {key['id']}".encode()
            yield AESGCM(scrypt.derive(secret)).decrypt(nonce, wrapped, bound_to)
        except InvalidTag:  # the key of another secret
            continue
        except DAMAGE as error:  # another key may do
            tell(path, error)


class Repository:
    def __init__(self, folder: Path, path: Path, master: bytes | None) -> None:
        self.folder, self.master, self.lost = folder, master, 0
        data = path.read_bytes()  # repo.json
        if json.loads(data)["min_reader"] > 1:
            raise ValueError("its format is newer than this script")
        self.chunk_size = signed(data, self.derive(b"vdisk signature"))["chunk_size"]
        self.id_key = self.derive(b"vdisk chunk id")

    def derive(self, info: bytes, salt: bytes = b"") -> Any:  # Keys
        hkdf = HKDF(algorithm=SHA256(), length=32, salt=salt, info=info)
        return hkdf.derive(self.master) if self.master else None

    def document(self, path: Path) -> Any:  # Documents
        data = path.read_bytes()
        if not self.master:
            return signed(data, None)
        key = path.relative_to(self.folder).as_posix().encode()
        aes = AESGCM(self.derive(b"vdisk document", data[4:36]))
        frame = aes.decrypt(bytes(12), data[36:], key)
        return json.loads(ZstdDecompressor().decompress(frame))

    def point(self, wanted: str) -> Any:  # Manifests
        found, labels = [], []
        for path in files(self.folder / "backups"):
            try:
                point = self.document(path)
                if path.parts[-2:] != (point["source"]["id"], point["id"]):
                    continue  # a copy under another name
                labels.append(f"{point['id']} {point['name']!r} of {point['source']['name']!r}")
                if wanted in (point["id"], point["name"]):
                    found.append(point)
            except DAMAGE as error:  # another point may be the one
                tell(path, error)
        if len(found) != 1:
            sys.exit("\n".join([*labels, f"{len(found)} restore points are called {wanted}"]))
        return found[0]

    def blob(self, blob_id: bytes, pack: str, number: int, offset: int, length: int) -> bytes:
        path = self.folder / "packs" / pack[:2] / pack  # Packs
        data = part(path, offset, length & ~RAW)
        if self.master:
            aes = AESGCM(self.derive(b"vdisk pack", part(path, 4, 32)))
            data = aes.decrypt(number.to_bytes(12, "little"), data, blob_id)
        if not length & RAW:
            data = ZstdDecompressor().decompressobj().decompress(data)
        if blake3(data, key=self.id_key).digest() != blob_id:  # Ids
            raise ValueError("it holds other content than its id says")
        return data

    @cached_property
    def copies(self) -> dict[bytes, list[Any]]:  # Copies
        print("there is damage: all packs are searched for copies", file=sys.stderr)
        found: dict[bytes, list[Any]] = {}
        for path in files(self.folder / "packs"):
            try:
                header, end = part(path, 0, 36), path.stat().st_size - 4
                length = int.from_bytes(part(path, end, 4), "little")
                table = part(path, end - length, length)
                if self.master:
                    aes = AESGCM(self.derive(b"vdisk pack", header[4:]))
                    table = aes.decrypt(b"\xff" * 12, table, header)
                else:
                    table = table[:-16]  # with a wrong table no blob would fit its id
                for number, (blob_id, *where, _kind) in enumerate(ROW.iter_unpack(table)):
                    found.setdefault(blob_id, []).append((path.name, number, *where))
            except DAMAGE as error:
                tell(path, error)
        return found

    def read(self, start: int, end: int, blob_id: bytes, place: Any) -> bytes:
        try:
            return self.blob(blob_id, *place)
        except DAMAGE as error:
            for copy in self.copies.get(blob_id, []):
                try:
                    return self.blob(blob_id, *copy)
                except DAMAGE:
                    continue
            self.lost += end - start
            lost = f"bytes {start} to {end - 1} of the disk are lost"
            tell(f"{lost}: byte {place[2]} of pack {place[0]}", error)
            return b""

    def write(self, disk: Any, image: BinaryIO) -> None:  # How a disk is stored
        chunk, size = self.chunk_size, disk["size"]
        for group, ref in enumerate(disk["maps"]):
            if ref is None:  # all zeros
                continue
            start, end = group * GROUP * chunk, min((group + 1) * GROUP * chunk, size)
            place = ref["pack"], ref["number"], ref["offset"], ref["length"] | ref["raw"] << 31
            entries = self.read(start, end, bytes.fromhex(ref["id"]), place)
            for pack, number, offset, length, chunk_id in ENTRY.iter_unpack(entries):  # Maps
                if length:  # else all zeros
                    place = pack.hex(), number, offset, length
                    image.seek(start)
                    image.write(self.read(start, min(start + chunk, size), chunk_id, place))
                start += chunk
        image.truncate(size)
        os.fsync(image.fileno())


def opened(folder: Path) -> Repository:
    key_file, passphrase = map(os.environ.get, ("VDISK_KEY_FILE", "VDISK_PASSPHRASE"))
    secret = Path(key_file).read_bytes() if key_file else os.fsencode(passphrase or "")
    for master in masters(folder, secret) if secret else [None]:
        for path in (folder / "repo.json", folder / "spare" / "repo.json"):  # Spare copies
            try:
                return Repository(folder, path, master)
            except DAMAGE as error:
                tell(path, error)
    given = "with this" if secret else "without a"
    sys.exit(f"{folder}: no repository that opens {given} passphrase or key file")


def main(folder: str, wanted: str, disk_name: str, output: str) -> None:
    if os.path.lexists(output):
        sys.exit(f"{output}: it is there already")
    repository = opened(Path(folder))
    disks = {disk["name"]: disk for disk in repository.point(wanted)["disks"]}
    if disk_name not in disks:
        sys.exit(f"the restore point has no disk {disk_name}, only {', '.join(disks)}")
    with open(f"{output}.partial", "xb") as image:
        repository.write(disks[disk_name], image)
    if repository.lost:
        sys.exit(f"{output}.partial has zeros instead of these {repository.lost} bytes")
    os.rename(f"{output}.partial", output)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(str(error))
