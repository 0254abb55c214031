# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Object lock: what S3 lets nobody delete or change before a day. Through botocore, since obstore
cannot ask for it. docs/object-stores.md, "Immutability"."""

from __future__ import annotations

import concurrent.futures
import datetime
import typing as t

from ..._device.errors import (
    DiskError,
    DiskIOError,
    DiskNotFound,
    InvalidRequest,
    TransportUnavailable,
)
from ..libraries import require
from .credentials import for_botocore

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .protocol import Store

MODES = ("compliance", "governance")
_THREADS = 16
_MISSING = ("404", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed")  # 405: it was deleted
_TAKEN = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")
_DENIED = ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")


class ObjectLock:
    """Locks of one mode on the objects of a repository in S3. Safe to use from many threads."""

    def __init__(self, store: Store, mode: str) -> None:
        if mode not in MODES:
            raise InvalidRequest(
                f"there is no object lock mode {mode!r}", expected=" or ".join(MODES)
            )
        self._store, self._mode = store, mode.upper()
        place = store.url.partition("://")[2]
        self._bucket, _slash, self._prefix = place.partition("/")
        self._client = _client(store.url)

    def check(self) -> None:
        """Raises InvalidRequest if the bucket knows no object lock."""
        try:
            found = self._ask(
                "look at its object lock", "", self._client.get_object_lock_configuration
            )
        except DiskNotFound:
            found = {}
        if found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise InvalidRequest(
                "retain needs a bucket with object lock",
                path=self._store.url,
                found="none on this bucket",
                hint="docs/object-stores.md says how one is made; do without retain until then.",
            )

    def put(self, key: str, data: bytes, until: datetime.datetime) -> bool:
        """A new object, locked from its first moment; False if the key is taken by another."""
        request = {
            "Body": data,
            "IfNoneMatch": "*",
            "ChecksumAlgorithm": "SHA256",
            "ObjectLockMode": self._mode,
            "ObjectLockRetainUntilDate": until,
        }
        if self._ask("write it", key, self._client.put_object, taken={}, **request):
            return True
        return self._store.get(key) == data  # we, in a request whose answer was lost

    def extend(self, keys: Iterable[str], until: datetime.datetime) -> None:
        """Nobody deletes these before `until`. Longer locks stay as they are.

        Raises DiskNotFound, TransportUnavailable, DiskIOError.
        """
        with concurrent.futures.ThreadPoolExecutor(_THREADS, "lock") as threads:
            running = [threads.submit(self._extend, key, until) for key in keys]
            try:
                for one in concurrent.futures.as_completed(running):
                    one.result()
            finally:
                for one in running:
                    one.cancel()

    def _extend(self, key: str, until: datetime.datetime) -> None:
        try:
            self._retain(key, self._mode, until)
        except TransportUnavailable:
            # So a store refuses to shorten a lock, too, or to change its mode.
            lock = self._lock_of(key)
            if lock is not None and lock["RetainUntilDate"] >= until.replace(microsecond=0):
                return
            if lock is None or lock["Mode"] == self._mode:
                raise
            self._retain(key, lock["Mode"], until)

    def _lock_of(self, key: str) -> t.Any:
        """None where there is none, or where we may not see it."""
        try:
            found = self._ask("look at its lock", key, self._client.get_object_retention)
        except DiskError:
            return None
        return found["Retention"]

    def _retain(self, key: str, mode: str, until: datetime.datetime) -> None:
        retention = {"Mode": mode, "RetainUntilDate": until}
        self._ask("lock it", key, self._client.put_object_retention, Retention=retention)

    def _ask(
        self,
        action: str,
        key: str,
        request: Callable[..., t.Any],
        taken: t.Any = None,
        **options: t.Any,
    ) -> t.Any:
        if key:
            options["Key"] = f"{self._prefix}/{key}" if self._prefix else key
        errors = require("botocore.exceptions")
        try:
            return request(Bucket=self._bucket, **options)
        except errors.ClientError as error:
            code = error.response["Error"].get("Code", "")
            if taken is not None and code in _TAKEN:
                return taken
            raise self._explain(action, key, code, error) from error
        except errors.NoCredentialsError as error:
            raise self._explain(action, key, "AccessDenied", error) from error
        except errors.BotoCoreError as error:
            raise self._explain(action, key, "", error) from error

    def _explain(self, action: str, key: str, code: str, error: Exception) -> DiskError:
        place = f"{self._store.url}/{key}" if key else self._store.url
        if code in _MISSING or code == "ObjectLockConfigurationNotFoundError":
            return DiskNotFound(f"cannot {action}: it is not there", path=place)
        if code in _DENIED:
            return TransportUnavailable(
                f"cannot {action}: the store refuses us",
                path=place,
                hint="Look at the rights of these credentials: docs/object-stores.md lists those "
                "that retain needs.",
            )
        return DiskIOError(f"cannot {action}: {str(error)[:300]}", path=place)


def object_lock(store: Store, mode: str) -> ObjectLock | None:
    """None for a directory. Raises InvalidRequest, MissingLibrary."""
    scheme, separator, _rest = store.url.partition("://")
    if not separator:
        return None
    if scheme != "s3":
        raise InvalidRequest(
            "retain works in S3 and in directories only",
            path=store.url,
            found=f"{scheme}://",
            hint="Set a retention policy on the bucket itself, with the tools of that cloud.",
        )
    return ObjectLock(store, mode)


def _client(url: str) -> t.Any:
    config = require("botocore.config").Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 8},
        max_pool_connections=_THREADS,
        s3={"addressing_style": "path"},  # as obstore does
    )
    try:
        session = require("botocore.session").get_session()
        return session.create_client("s3", config=config, **for_botocore(url))
    except require("botocore.exceptions").BotoCoreError as error:
        raise InvalidRequest(f"cannot use this object store: {error}", path=url) from error
