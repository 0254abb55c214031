# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Packs: files of up to 64 MiB that hold blobs. docs/repository-format.md, "Packs"."""

from __future__ import annotations

import contextlib
import enum
import hashlib
import os
import struct
import threading
import typing as t

from ..._device.errors import DiskExists, DiskNotFound, RepositoryDamaged, TruncatedDisk
from ..libraries import require

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.device import Buffer
    from ..store.protocol import Store
    from .chunk import Codec, Encoded
    from .subkeys import SubKeys

PREFIX = "packs/"
MAGIC = b"VBP1"
SALT = 32
HEADER = len(MAGIC) + SALT
LARGEST = 64 << 20  # bytes of a pack file
RAW = 1 << 31  # in a stored length: the blob is not compressed
TAG = 16
TABLE_NONCE = b"\xff" * 12
_ROW = struct.Struct("<32sIIB")  # id, offset, length | RAW, kind
MOST_BLOBS = LARGEST // _ROW.size  # of one pack
_LENGTH = struct.Struct("<I")
_TAIL = 16 << 10  # bytes that are read at once: most tables are shorter
_NAME = 32  # bytes of a pack's name


class BlobKind(enum.IntEnum):
    """What a blob is for."""

    DATA = 1
    MAP = 2


class Location(t.NamedTuple):
    """Where a blob is: the pack's name (32 bytes), its number there, offset and length in bytes."""

    pack: bytes
    number: int
    offset: int
    length: int
    raw: bool
    id: bytes

    def follows(self, other: Location) -> bool:
        """Whether this blob begins where the other one ends."""
        return self.pack == other.pack and self.offset == other.offset + other.length


class Row(t.NamedTuple):
    """One row of a pack's table."""

    id: bytes
    offset: int
    length: int
    raw: bool
    kind: BlobKind


def pack_key(name: bytes) -> str:
    return f"{PREFIX}{name.hex()[:2]}/{name.hex()}"


def pack_name(key: str) -> bytes | None:
    """The name of the pack that is stored as `key`; None for a stranger."""
    digits = key.rpartition("/")[2]
    try:
        name = bytes.fromhex(digits)
    except ValueError:
        return None
    return name if len(name) == _NAME and pack_key(name) == key else None


def pack_sizes(store: Store) -> dict[bytes, int]:
    """Bytes of every pack that is stored, by its name. Raises DiskIOError."""
    names = ((pack_name(stored.key), stored.size) for stored in store.list(PREFIX))
    return {name: size for name, size in names if name is not None}


def locations(pack: bytes, table: bytes) -> Iterator[Location]:
    """What a table lists, in order."""
    for number, fields in enumerate(_ROW.iter_unpack(table)):
        yield _listed(pack, number, fields)


def is_listed(where: Location, table: bytes) -> bool:
    """Whether the table of its pack says the same."""
    start = where.number * _ROW.size
    if start + _ROW.size > len(table):
        return False
    return _listed(where.pack, where.number, _ROW.unpack_from(table, start)) == where


def _listed(pack: bytes, number: int, fields: tuple[t.Any, ...]) -> Location:
    blob_id, offset, length, _kind = fields
    return Location(pack, number, offset, length & ~RAW, bool(length & RAW), blob_id)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "little")


class PackWriter:
    """One pack on its way into the store. Blobs are encrypted here, in the order they come."""

    def __init__(self, store: Store, subkeys: SubKeys) -> None:
        salt = os.urandom(SALT)  # also makes the name of every pack its own
        self._subkeys = subkeys
        self._aes = _cipher(subkeys, salt)
        self._header = MAGIC + salt
        self._scratch = bytearray()
        self._rows: list[bytes] = []
        self._hash = hashlib.sha256()
        self._upload = store.upload()
        self.size = 0
        try:
            self._write(self._header)
        except BaseException:  # nobody has this object yet, so nobody else can
            self.abort()
            raise

    def has_room(self, length: int) -> bool:
        """Whether a blob of `length` bytes before encryption still fits."""
        table = (len(self._rows) + 1) * _ROW.size + TAG + _LENGTH.size
        return self.size + length + TAG + table <= LARGEST

    def add(self, kind: BlobKind, chunk_id: bytes, encoded: Encoded) -> tuple[int, int, int]:
        """(number, offset, stored length) of the new blob."""
        number, offset = len(self._rows), self.size
        self._write(self._encrypt(_nonce(number), encoded.data, chunk_id))
        length = self.size - offset
        flag = RAW if encoded.raw else 0
        self._rows.append(_ROW.pack(chunk_id, offset, length | flag, kind))
        return number, offset, length

    def finish(self) -> bytes:
        """Durable when it returns; the pack's name is the SHA-256 of the file."""
        table = b"".join(self._rows)
        if self._aes is None:
            sealed = table + self._subkeys.identify(self._header + table)[:TAG]
        else:
            sealed = self._aes.encrypt(TABLE_NONCE, table, self._header)
        self._write(sealed)
        self._write(_LENGTH.pack(len(sealed)))
        name = self._hash.digest()
        if not self._upload.commit(pack_key(name)):
            raise DiskExists("a pack of this name is there already", path=pack_key(name))
        return name

    def abort(self) -> None:
        self._upload.abort()

    def _write(self, data: Buffer) -> None:
        self._upload.write(data)
        self._hash.update(data)
        self.size += memoryview(data).nbytes

    def _encrypt(self, nonce: bytes, data: Buffer, bound_to: bytes) -> Buffer:
        if self._aes is None:
            return data
        if not hasattr(self._aes, "encrypt_into"):  # cryptography before 47
            return t.cast("bytes", self._aes.encrypt(nonce, data, bound_to))
        length = memoryview(data).nbytes + TAG
        if len(self._scratch) < length:
            self._scratch = bytearray(length)
        target = memoryview(self._scratch)[:length]
        self._aes.encrypt_into(nonce, data, bound_to, target)
        return target


class PackReader:
    """Blobs out of packs, each proven by its id. Safe to use from many threads."""

    def __init__(self, store: Store, subkeys: SubKeys, codec: Codec) -> None:
        self._store, self._subkeys, self._codec = store, subkeys, codec
        self._ciphers: dict[bytes, t.Any] = {}
        self._lock = threading.Lock()
        self._buffers = threading.local()

    def read_into(self, where: Location, target: memoryview) -> None:
        """Fill target with a blob of exactly that length. Raises RepositoryDamaged."""
        self._decode(where, self._decrypted(where), target)

    def read_run(self, run: Sequence[tuple[Location, memoryview]]) -> None:
        """The same for blobs that follow each other in a pack, with one request to the store."""
        first, last = run[0][0], run[-1][0]
        stored = self._stored(first, last.offset + last.length - first.offset)
        for where, target in run:
            begin = where.offset - first.offset
            self._decode(where, self._decrypt(where, stored[begin : begin + where.length]), target)

    def read(self, where: Location, most: int) -> bytearray:
        """A blob of at most `most` bytes. Raises RepositoryDamaged."""
        return self.expand(where, self.frame(where), most)

    def frame(self, where: Location) -> bytes:
        """A blob as it was before encryption: one zstd frame, or with where.raw the content. Proven
        in an encrypted repository only. Raises RepositoryDamaged."""
        return bytes(self._decrypted(where))

    def expand(self, where: Location, stored: bytes, most: int) -> bytearray:
        """The content of what frame() returned. Raises RepositoryDamaged."""
        content = bytearray(self._length(where, stored, most))
        self._decode(where, stored, memoryview(content))
        return content

    def prove(self, where: Location, stored: Buffer, buffer: memoryview) -> None:
        """Whether a blob that was read already is good; `buffer` takes its content.

        Raises RepositoryDamaged.
        """
        decrypted = self._decrypt(where, stored)
        length = self._length(where, decrypted, buffer.nbytes)
        self._decode(where, decrypted, buffer[:length])

    def _length(self, where: Location, stored: Buffer, most: int) -> int:
        try:
            length = self._codec.length(stored, where.raw)
        except ValueError as error:
            raise self._damaged(where, f"a blob is no zstd frame ({error})") from error
        if not 0 <= length <= most:
            raise self._damaged(where, f"a blob says to hold {length} bytes")
        return length

    def _decode(self, where: Location, stored: Buffer, target: memoryview) -> None:
        try:
            self._codec.expand(stored, where.raw, target)
        except ValueError as error:
            raise self._damaged(where, f"a blob does not decompress ({error})") from error
        if self._subkeys.identify(target) != where.id:
            raise self._damaged(where, "a blob holds other content than its id says")

    def table(self, pack: bytes) -> list[Row]:
        """The table at the end of a pack. Raises RepositoryDamaged."""
        rows = _ROW.iter_unpack(self.raw_table(pack))
        try:
            return [
                Row(blob_id, offset, stored & ~RAW, bool(stored & RAW), BlobKind(kind))
                for blob_id, offset, stored, kind in rows
            ]
        except ValueError as error:
            raise RepositoryDamaged(f"its table lists {error}", path=pack_key(pack)) from error

    def raw_table(self, pack: bytes, size: int | None = None) -> bytes:
        """The same as its bytes, for locations(). Raises RepositoryDamaged."""
        key = pack_key(pack)
        size = size or self._store.size(key) or 0
        if size > LARGEST:
            raise RepositoryDamaged("no pack is that large", path=key, found=size)
        last = size - _LENGTH.size
        start = max(size - _TAIL, 0)
        tail = self._get(key, start, max(size - start, _LENGTH.size))
        length = _LENGTH.unpack(tail[len(tail) - _LENGTH.size :])[0]
        if last - length < HEADER or (length - TAG) % _ROW.size:
            raise RepositoryDamaged("its table cannot be that long", path=key, found=length)
        header = self._get(key, 0, HEADER)
        sealed = tail[: len(tail) - _LENGTH.size][-length:]
        if len(sealed) < length:
            sealed = self._get(key, last - length, length)
        return self._open_table(key, header, sealed)

    def _open_table(self, key: str, header: bytes, sealed: bytes) -> bytes:
        aes = self._header_cipher(key, header)
        if aes is None:
            rows, check = sealed[:-TAG], sealed[-TAG:]
            if self._subkeys.identify(header + rows)[:TAG] == check:
                return rows
        else:
            try:
                return t.cast("bytes", aes.decrypt(TABLE_NONCE, sealed, header))
            except require("cryptography.exceptions").InvalidTag:
                pass
        raise RepositoryDamaged("its table is damaged", path=key)

    def _decrypted(self, where: Location) -> Buffer:
        """Good until the same thread asks for the next one."""
        return self._decrypt(where, self._stored(where, where.length))

    def _stored(self, where: Location, length: int) -> memoryview:
        if length > LARGEST:
            raise self._damaged(where, f"a blob of {length} bytes cannot be in a pack")
        key, stored = pack_key(where.pack), self._buffer("stored", length)
        with _as_damage(key, where.offset):
            self._store.read_into(key, where.offset, stored)
        return stored

    def _buffer(self, name: str, length: int) -> memoryview:
        """One of each name for each thread, used again: new memory costs more than a copy."""
        held: bytearray | None = getattr(self._buffers, name, None)
        if held is None or len(held) < length:
            held = bytearray(length)
            setattr(self._buffers, name, held)
        return memoryview(held)[:length]

    def _decrypt(self, where: Location, stored: Buffer) -> Buffer:
        aes = self._pack_cipher(where.pack)
        if aes is None:
            return stored
        nonce, length = _nonce(where.number), memoryview(stored).nbytes - TAG
        try:
            if length < 0 or not hasattr(aes, "decrypt_into"):  # cryptography before 47
                return t.cast("bytes", aes.decrypt(nonce, stored, where.id))
            content = self._buffer("content", length)
            aes.decrypt_into(nonce, stored, where.id, content)
            return content
        except require("cryptography.exceptions").InvalidTag as error:
            raise self._damaged(where, "a blob does not decrypt: it was changed") from error

    def _pack_cipher(self, pack: bytes) -> t.Any:
        with self._lock:
            if pack in self._ciphers:
                return self._ciphers[pack]
        key = pack_key(pack)
        aes = self._header_cipher(key, self._get(key, 0, HEADER))
        with self._lock:
            if len(self._ciphers) >= 1024:  # 64 GiB of packs
                self._ciphers.clear()
            self._ciphers[pack] = aes
        return aes

    def _header_cipher(self, key: str, header: bytes) -> t.Any:
        if not header.startswith(MAGIC):
            raise RepositoryDamaged("does not begin as a pack", path=key, found=header[:8].hex())
        return _cipher(self._subkeys, header[len(MAGIC) :])

    def _get(self, key: str, offset: int, length: int) -> bytes:
        with _as_damage(key, offset):
            return self._store.get(key, offset, length)

    def _damaged(self, where: Location, message: str) -> RepositoryDamaged:
        return RepositoryDamaged(message, path=pack_key(where.pack), offset=where.offset)


@contextlib.contextmanager
def _as_damage(key: str, offset: int) -> Iterator[None]:
    """What is missing here is damage of the repository."""
    try:
        yield
    except DiskNotFound as error:
        raise RepositoryDamaged("this pack is missing", path=key) from error
    except TruncatedDisk as error:
        raise RepositoryDamaged("this pack is cut short", path=key, offset=offset) from error


def _cipher(subkeys: SubKeys, salt: bytes) -> t.Any:
    if not subkeys.encrypted:
        return None
    aead = require("cryptography.hazmat.primitives.ciphers.aead")
    return aead.AESGCM(subkeys.pack_key(salt))
