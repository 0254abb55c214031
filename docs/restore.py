# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore one disk from a local vdisk.lifecycle repository, without vdisk.lifecycle.

    VDISK_PASSPHRASE=... python3 restore.py REPOSITORY POINT DISK OUTPUT

VDISK_KEY_FILE=PATH will do instead of a passphrase. POINT is the id or the name of a restore point,
DISK is disk0 for single disks. OUTPUT becomes a sparse raw image, once all of it is restored.
Needs: python3 -m pip install zstandard blake3 cryptography. The format is explained in
repository-format.md; the comments here name its sections.
"""

from __future__ import annotations

import hmac
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

RAW = 1 << 31
GROUP = 1024  # chunks
ENTRY = struct.Struct("<32sIII32s")


def derive(master: bytes, info: bytes, salt: bytes = b"") -> bytes:  # Keys
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(master)


def signed(path: Path, sign_key: bytes | None) -> dict[str, Any]:  # Signed documents
    data = path.read_bytes()
    body, signature, tail = data[:-68], data[-68:-4], data[-4:]
    right = hmac.new(sign_key, body, "sha256") if sign_key else blake3(body)
    if tail != b'"\n}\n' or signature != right.hexdigest().encode():
        raise ValueError(f"{path}: its signature does not fit its content")
    return json.loads(data)


def files(folder: Path, pattern: str) -> list[Path]:  # Files
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def unlock(folder: Path, repository: str, secret: bytes) -> bytes:  # Keys
    for path in files(folder, "keys/*.json") + files(folder, "spare/keys/*.json"):
        try:
            key = signed(path, None)
        except (OSError, ValueError) as error:  # another key may do
            print(f"not tried: {error}", file=sys.stderr)
            continue
        salt, nonce, wrapped = (bytes.fromhex(key[part]) for part in ("salt", "nonce", "wrapped"))
        wrapping_key = Scrypt(salt=salt, length=32, n=key["n"], r=key["r"], p=key["p"])
        bound_to = f"vdisk key {repository} {key['id']}".encode()
        try:
            return AESGCM(wrapping_key.derive(secret)).decrypt(nonce, wrapped, bound_to)
        except InvalidTag:
            continue
    sys.exit("what VDISK_PASSPHRASE or VDISK_KEY_FILE gives opens none of the keys")


def opened(path: Path, key: str, master: bytes | None) -> dict[str, Any]:  # Documents
    data = path.read_bytes()
    if master is None:
        return signed(path, None)
    aes = AESGCM(derive(master, b"vdisk document", data[4:36]))
    try:
        frame = aes.decrypt(bytes(12), data[36:], key.encode())
    except InvalidTag:
        raise ValueError(f"{path}: it was changed or damaged") from None
    return json.loads(zstandard.ZstdDecompressor().decompress(frame))


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.open(folder, folder / "repo.json")
        except (OSError, ValueError, LookupError, TypeError, SystemExit) as error:  # Spare copies
            print(f"repo.json: {error}; its spare copy is tried", file=sys.stderr)
            self.open(folder, folder / "spare" / "repo.json")

    def open(self, folder: Path, path: Path) -> None:
        config = json.loads(path.read_bytes())  # repo.json
        if config["min_reader"] > 1:
            sys.exit(f"{folder}: its format {config['min_reader']} is newer than this script")
        self.master = self.id_key = sign_key = None
        if config["cipher"] != "none":
            key_file = os.environ.get("VDISK_KEY_FILE")
            secret = os.environb.get(b"VDISK_PASSPHRASE", b"")
            secret = Path(key_file).read_bytes() if key_file else secret
            self.master = unlock(folder, config["repository"], secret)
            self.id_key = derive(self.master, b"vdisk chunk id")
            sign_key = derive(self.master, b"vdisk signature")
        self.chunk_size = signed(path, sign_key)["chunk_size"]

    def point(self, wanted: str) -> dict[str, Any]:  # Manifests
        found = []
        for path in files(self.folder, "backups/*/*"):
            try:
                point = opened(path, "/".join(path.parts[-3:]), self.master)
            except ValueError as error:  # another point may be the one
                print(f"not read: {error}", file=sys.stderr)
                continue
            if wanted in (point["id"], point["name"]):
                found.append(point)
        if len(found) > 1:
            ids = ", ".join(f"{point['id']} of {point['source']['name']}" for point in found)
            sys.exit(f"more than one restore point is called {wanted}, name its id: {ids}")
        return found[0] if found else sys.exit(f"there is no restore point {wanted}")

    def blob(
        self, pack: str, number: int, offset: int, length: int, raw: bool, blob_id: bytes
    ) -> bytes:
        path = self.folder / "packs" / pack[:2] / pack  # Packs
        try:
            with path.open("rb") as file:
                salt = file.read(36)[4:]
                file.seek(offset)
                data = file.read(length)
            if self.master:
                aes = AESGCM(derive(self.master, b"vdisk pack", salt))
                data = aes.decrypt(number.to_bytes(12, "little"), data, blob_id)
            content = data if raw else zstandard.ZstdDecompressor().decompress(data)
            if blake3(content, key=self.id_key).digest() == blob_id:
                return content
            reason = "it holds other content than its id says"
        except InvalidTag:
            reason = "it was changed or cut short"
        except (OSError, zstandard.ZstdError) as error:
            reason = str(error)
        raise ValueError(f"{path}: the blob at byte {offset} is damaged: {reason}")


def write(repository: Repository, disk: dict[str, Any], image: BinaryIO) -> None:
    for group, ref in enumerate(disk["maps"]):
        if ref is None:  # all zeros
            continue
        where = (ref[part] for part in ("pack", "number", "offset", "length", "raw"))
        entries = repository.blob(*where, bytes.fromhex(ref["id"]))
        for index, entry in enumerate(ENTRY.iter_unpack(entries)):  # Maps
            pack, number, offset, length, chunk_id = entry
            if length == 0:  # all zeros
                continue
            stored, raw = length & ~RAW, bool(length & RAW)
            image.seek((group * GROUP + index) * repository.chunk_size)
            image.write(repository.blob(pack.hex(), number, offset, stored, raw, chunk_id))
    image.truncate(disk["size"])
    os.fsync(image.fileno())


def main(folder: str, wanted: str, disk_name: str, output: str) -> None:
    if os.path.lexists(output):
        sys.exit(f"{output}: it is there already")
    repository = Repository(Path(folder))
    disks = {disk["name"]: disk for disk in repository.point(wanted)["disks"]}
    if disk_name not in disks:
        sys.exit(f"the restore point has no disk {disk_name}, only {', '.join(disks)}")
    partial = f"{output}.{os.getpid()}.partial"
    try:
        with open(partial, "xb") as image:
            write(repository, disks[disk_name], image)
        os.rename(partial, output)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(str(error))
