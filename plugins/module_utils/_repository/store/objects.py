# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A repository in an object store: S3, Google Cloud Storage, Azure, through obstore."""

from __future__ import annotations

import datetime
import os
import re
import typing as t

from ..._device.errors import (
    DiskError,
    DiskIOError,
    DiskNotFound,
    InvalidRequest,
    TransportUnavailable,
    TruncatedDisk,
)
from ..libraries import require
from .credentials import settings
from .protocol import Stored
from .session import GRACE, SESSIONS, Heartbeat

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..._device.device import Buffer

_Entries = list[dict[str, t.Any]]
_RETRY = {"max_retries": 8, "retry_timeout": datetime.timedelta(seconds=180)}
_ANSWER = re.compile(r"<Code>([^<]{1,80})</Code>\s*<Message>([^<]{1,300})</Message>")
_DENIED = ("PermissionDeniedError", "UnauthenticatedError")
_HINT = "Look at the credentials: docs/object-stores.md says where they are read from."


class ObjectStore:
    """Objects are put whole, with a checksum that the server compares."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._library = require("obstore")
        config = settings(url)
        plain = str(config.get("endpoint", "")).startswith("http://")
        try:
            self._client = require("obstore.store").from_url(
                self.url,
                config=config,
                client_options={"allow_http": plain, "timeout": datetime.timedelta(seconds=120)},
                retry_config=_RETRY,
            )
        except Exception as error:
            raise InvalidRequest(
                f"this names no object store: {_reason(error)}", path=url
            ) from error

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        if length is None:
            data: bytes = self._call(
                "read it", key, lambda: self._library.get(self._client, key).bytes()
            )
            return data[offset:]
        data = self._call(
            "read it",
            key,
            lambda: self._library.get_range(self._client, key, start=offset, length=length),
        )
        if len(data) < length:
            raise TruncatedDisk(
                "the object ends too early",
                path=self._name(key),
                offset=offset + len(data),
                expected=f"{length - len(data)} more bytes",
            )
        return data

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        mode = "create" if if_absent else "overwrite"
        try:
            # In one piece: a conditional put of several parts is not known to every store.
            self._library.put(self._client, key, data, mode=mode, use_multipart=False)
        except self._library.exceptions.AlreadyExistsError:
            # After a lost answer the client tries again, and meets what it has written itself.
            return self.size(key) == len(data) and self.get(key) == data
        except Exception as error:
            raise self._explain(error, "write it", key) from error
        return True

    def upload(self) -> ObjectUpload:
        return ObjectUpload(self)

    def begin_session(self) -> ObjectSession:
        return ObjectSession(self)

    def list(self, prefix: str) -> Iterator[Stored]:
        for found in self._listing(prefix):
            version = found["e_tag"] or found["last_modified"].isoformat()
            yield Stored(found["path"], found["size"], version)

    def size(self, key: str) -> int | None:
        try:
            facts = self._call("look at it", key, lambda: self._library.head(self._client, key))
        except DiskNotFound:
            return None
        return int(facts["size"])

    def delete(self, key: str) -> None:
        try:
            self._call("delete it", key, lambda: self._library.delete(self._client, key))
        except DiskNotFound:
            pass

    def foreign(self, known: frozenset[str]) -> str | None:
        found = self._call(
            "list it", "", lambda: self._library.list_with_delimiter(self._client, None)
        )
        folders = [prefix.rstrip("/") for prefix in found["common_prefixes"]]
        names = [*folders, *(entry["path"] for entry in found["objects"])]
        return min((name for name in names if name not in known), default=None)

    def remove(self) -> None:
        """There are no empty folders in an object store."""

    def sessions(self) -> tuple[str, ...]:
        return tuple(key for key, dead in self._seen() if not dead)

    def sweep(self) -> None:
        for key, dead in self._seen():
            if dead:
                self.delete(key)

    def _seen(self) -> Iterator[tuple[str, bool]]:
        """(session, whether it is dead); ages are differences of the server's own clock."""
        found = self._listing(SESSIONS)
        now = self._clock() if found else None
        for entry in found:
            yield entry["path"], (now - entry["last_modified"]).total_seconds() >= GRACE

    def _clock(self) -> datetime.datetime:
        key = f"tmp/clock-{os.urandom(8).hex()}"
        self.put(key, b"")
        try:
            facts = self._call("look at it", key, lambda: self._library.head(self._client, key))
        finally:
            self.delete(key)
        return t.cast("datetime.datetime", facts["last_modified"])

    def _listing(self, prefix: str) -> _Entries:
        """All of it at once: what is deleted while one lists shall not disturb the list."""
        pages = self._call(
            "list it",
            prefix,
            lambda: list(self._library.list(self._client, prefix.rstrip("/") or None)),
        )
        return [entry for page in pages for entry in page]

    def _call(self, action: str, key: str, request: Callable[[], t.Any]) -> t.Any:
        try:
            answer = request()
        except Exception as error:
            raise self._explain(error, action, key) from error
        return bytes(answer) if isinstance(answer, self._library.Bytes) else answer

    def _explain(self, error: Exception, action: str, key: str) -> DiskError:
        if isinstance(error, DiskError):
            return error
        place = self._name(key)
        if isinstance(error, FileNotFoundError):
            return DiskNotFound(f"cannot {action}: no such object", path=place)
        if type(error).__name__ in _DENIED:
            return TransportUnavailable(
                f"cannot {action}: the store refuses us", path=place, hint=_HINT
            )
        return DiskIOError(f"cannot {action}: {_reason(error)}", path=place)

    def _name(self, key: str) -> str:
        return f"{self.url}/{key}" if key else self.url


class ObjectUpload:
    """Kept in memory, since a pack is known by its content and at most 64 MiB."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._data = bytearray()

    def write(self, data: Buffer) -> None:
        self._data += memoryview(data).cast("B")

    def commit(self, key: str) -> bool:
        data, self._data = bytes(self._data), bytearray()
        return self._store.put(key, data, if_absent=True)

    def abort(self) -> None:
        self._data = bytearray()


class ObjectSession:
    """A writer at work."""

    def __init__(self, store: ObjectStore) -> None:
        self.key = f"{SESSIONS}{os.urandom(16).hex()}"
        self._store = store
        self._store.put(self.key, b"")
        self._heartbeat = Heartbeat(self._renew)

    def is_alive(self) -> bool:
        return self._store.size(self.key) is not None

    def end(self) -> None:
        self._heartbeat.stop()
        self._store.delete(self.key)

    def _renew(self) -> None:
        if self.is_alive():  # who was taken for dead shall not come back
            self._store.put(self.key, b"")


def _reason(error: Exception) -> str:
    """What the store says (S3 and Azure do so), else the first line of what the library says."""
    said = _ANSWER.search(str(error))
    if said:
        return f"the store says {said[1]}: {said[2]}"
    return str(error).partition("\n")[0][:300]
