# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A repository in an object store: S3, Google Cloud Storage, Azure, through obstore."""

from __future__ import annotations

import datetime
import os
import random
import re
import time
import typing as t

from ..._device.errors import (
    DiskError,
    DiskExists,
    DiskIOError,
    DiskNotFound,
    InvalidRequest,
    ObjectLocked,
    TransportUnavailable,
    TruncatedDisk,
)
from ..libraries import require
from .credentials import settings
from .object_session import ObjectSession
from .object_upload import ObjectUpload
from .protocol import Stored, check_whole
from .session import GRACE, SESSIONS, TEMPORARY

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Answer = t.TypeVar("_Answer")
# Of the client. It does not repeat a request whose answer broke off or came too late: see _call().
RETRY = {"max_retries": 8, "retry_timeout": datetime.timedelta(seconds=180)}
ANSWER = datetime.timedelta(seconds=60)  # for the next bytes of an answer to come
CONNECT = datetime.timedelta(seconds=10)
PAUSE = 0.5  # seconds at most before our own second try; longer before the next ones
TRANSFER = datetime.timedelta(seconds=900)  # for a request as a whole: a pack on a slow line
_BIG = 1 << 20  # bytes of an upload whose sending alone may take longer than ANSWER
_PAGE = 1000  # objects that a store lists at once
_SAID = re.compile(r"<Code>([^<]{1,80})</Code>\s*<Message>([^<]{1,300})</Message>")
_GIVEN_UP = re.compile(r"after \d+ retries")
_DAMAGED_ON_THE_WAY = (
    "BadDigest",
    "IncompleteBody",
    "InvalidDigest",
    "RequestTimeout",
    "XAmzContentSHA256Mismatch",
)
_DENIED = ("PermissionDeniedError", "UnauthenticatedError")
_HINT = "Look at the credentials: docs/object-stores.md says where they are read from."


class ObjectStore:
    """Objects are put whole, with a checksum that the server compares."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._library = require("obstore")
        config = settings(url)
        plain = str(config.get("endpoint", "")).startswith("http://")
        options = {"allow_http": plain, "connect_timeout": CONNECT, "timeout": TRANSFER}
        try:
            from_url = require("obstore.store").from_url
            arguments = {"config": config, "retry_config": RETRY}
            # read_timeout runs while a request is being sent, too: not for what takes long to send.
            self._uploads = from_url(self.url, client_options=options, **arguments)
            self._client = from_url(
                self.url, client_options={**options, "read_timeout": ANSWER}, **arguments
            )
        except DiskError:
            raise
        except Exception as error:
            raise InvalidRequest(
                f"this names no object store: {reason(error)}", path=url
            ) from error

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        if length is not None:
            return bytes(self._part(key, offset, length))
        options = {"range": {"offset": offset}} if offset else None
        return self._call("read it", key, lambda: self._whole(key, options))

    def _whole(self, key: str, options: t.Any) -> bytes:
        answer = self._library.get(self._client, key, options=options)
        check_whole(self.name(key), answer.meta["size"])
        return bytes(answer.bytes())

    def read_into(self, key: str, offset: int, target: memoryview) -> None:
        """Fill target. Raises DiskNotFound, TruncatedDisk, DiskIOError."""
        target[:] = memoryview(self._part(key, offset, target.nbytes))

    def _part(self, key: str, offset: int, length: int) -> t.Any:
        """Its bytes, not copied yet."""
        get_range, client = self._library.get_range, self._client
        data = self._call(
            "read it", key, lambda: get_range(client, key, start=offset, length=length)
        )
        if len(data) < length:
            raise TruncatedDisk(
                "the object ends too early",
                path=self.name(key),
                offset=offset + len(data),
                expected=f"{length - len(data)} more bytes",
            )
        return data

    def put(self, key: str, data: bytes | bytearray, *, if_absent: bool = False) -> bool:
        try:
            self._put(key, data, "create" if if_absent else "overwrite")
        except DiskExists:
            # After a lost answer we try again, and meet what we have written ourselves.
            return self.size(key) == len(data) and self.get(key) == data
        return True

    def replace(self, key: str, old: bytes, data: bytes) -> bool:
        try:
            facts, found = self._call("read it", key, lambda: self._with_facts(key))
            if found == old:
                self._put(key, data, _version(facts))
                return True
            return bool(found == data)
        except DiskNotFound:
            return False
        except DiskExists:  # somebody was faster; or we, in a request whose answer was lost
            return self.size(key) == len(data) and self.get(key) == data

    def _with_facts(self, key: str) -> tuple[t.Any, bytes]:
        answer = self._library.get(self._client, key)
        return answer.meta, bytes(answer.bytes())

    def touch(self, key: str) -> None:
        """Write an empty object again, but not one that somebody has deleted, however lately."""
        try:
            facts = self._call("look at it", key, lambda: self._library.head(self._client, key))
            self._put(key, b"", _version(facts))
        except (DiskNotFound, DiskExists):
            pass

    def _put(self, key: str, data: bytes | bytearray, mode: t.Any) -> None:
        """Raises DiskExists where the condition does not hold."""
        put = self._library.put
        client = self._uploads if len(data) > _BIG else self._client
        # In one piece: a conditional put of several parts is not known to every store.
        self._call("write it", key, lambda: put(client, key, data, mode=mode, use_multipart=False))

    def upload(self) -> ObjectUpload:
        return ObjectUpload(self)

    def begin_session(self) -> ObjectSession:
        return ObjectSession(self, self.touch)

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
        except (TransportUnavailable, DiskExists) as error:  # Azure: a conflict with a policy
            raise ObjectLocked(
                "the store does not let us delete it",
                path=self.name(key),
                hint="Either it is locked, or these credentials may not delete.",
            ) from error

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
        return tuple(key for key, dead in self._seen(SESSIONS) if not dead)

    def sweep(self) -> None:
        for folder in (SESSIONS, TEMPORARY):
            for key, dead in self._seen(folder):
                if dead:
                    self.delete(key)

    def _seen(self, folder: str) -> Iterator[tuple[str, bool]]:
        """(object, whether it is too old); ages are differences of the server's own clock."""
        found = list(self._listing(folder))
        now = self._clock() if found else None
        for entry in found:
            yield entry["path"], (now - entry["last_modified"]).total_seconds() >= GRACE

    def _clock(self) -> datetime.datetime:
        key = f"{TEMPORARY}clock-{os.urandom(8).hex()}"
        self.put(key, b"")
        try:
            facts = self._call("look at it", key, lambda: self._library.head(self._client, key))
        finally:
            self.delete(key)
        return t.cast("datetime.datetime", facts["last_modified"])

    def _listing(self, prefix: str) -> Iterator[dict[str, t.Any]]:
        """Page after page; nobody holds a list of a million objects."""
        pages = _Pages(self._library, self._client, prefix)
        while page := self._call("list it", prefix, pages.next):
            yield from page

    def _call(self, action: str, key: str, request: Callable[[], _Answer]) -> _Answer:
        """Every request of ours can be made twice. The client repeats those that the server
        refused for the moment, but not all whose answer broke off or did not come."""
        left = 3
        while True:
            try:
                return request()
            except Exception as error:
                if not left or not _is_passing(error):
                    raise self._explain(error, action, key) from error
            left -= 1
            time.sleep(random.uniform(PAUSE / 5, PAUSE) * (3 - left))

    def _explain(self, error: Exception, action: str, key: str) -> DiskError:
        if isinstance(error, DiskError):
            return error
        place = self.name(key)
        kind = type(error).__name__
        if isinstance(error, FileNotFoundError):
            return DiskNotFound(f"cannot {action}: no such object", path=place)
        if kind in ("AlreadyExistsError", "PreconditionError"):
            return DiskExists(f"cannot {action}: the key is taken", path=place)
        if _is_refused(error):
            return TransportUnavailable(
                f"cannot {action}: the store refuses us", path=place, hint=_HINT
            )
        return DiskIOError(f"cannot {action}: {reason(error)}", path=place)

    def name(self, key: str) -> str:
        """For messages."""
        return f"{self.url}/{key}" if key else self.url


class _Pages:
    """A listing that goes on after the last key it gave when an answer breaks off."""

    def __init__(self, library: t.Any, client: t.Any, prefix: str) -> None:
        self._library, self._client = library, client
        self._folder = prefix.rstrip("/") or None
        self._pages: Iterator[list[dict[str, t.Any]]] | None = None
        self._after: str | None = None

    def next(self) -> list[dict[str, t.Any]]:
        """Empty at the end."""
        if self._pages is None:
            pages = self._library.list(
                self._client, self._folder, offset=self._after, chunk_size=_PAGE
            )
            self._pages = iter(pages)
        try:
            page: list[dict[str, t.Any]] = next(self._pages, [])
        except Exception:
            self._pages = None  # once it has failed it says that there is no more
            raise
        if page:
            self._after = page[-1]["path"]
        return page


def _version(facts: t.Any) -> dict[str, str]:
    """What a conditional put is told of the object that it is to replace."""
    return {name: facts[name] for name in ("e_tag", "version") if facts[name]}


def _is_refused(error: Exception) -> bool:
    """Of many objects that are deleted in one request, each has an answer of its own."""
    return type(error).__name__ in _DENIED or "(code: AccessDenied)" in str(error)


def _is_passing(error: Exception) -> bool:
    """Whether to ask again may help, and the client has not done so all the time allowed."""
    if type(error).__name__ != "GenericError" or _is_refused(error):
        return False
    if _GIVEN_UP.search(str(error)):
        return False
    said = _SAID.search(str(error))
    return said is None or said[1] in _DAMAGED_ON_THE_WAY


def reason(error: Exception) -> str:
    """What the store says (S3 and Azure do so), else the first line of what the library says."""
    said = _SAID.search(str(error))
    if said:
        return f"the store says {said[1]}: {said[2]}"
    return str(error).partition("\n")[0][:300]
