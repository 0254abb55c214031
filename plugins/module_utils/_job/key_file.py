# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Key files of the user: what opens a repository when no passphrase does."""

from __future__ import annotations

import os
import stat
import typing as t

from .._device.errors import InvalidRequest, from_oserror
from .._repository.format.keys import NewKey

SMALLEST, LARGEST = 32, 64 << 10  # bytes


def read_key_file(path: str) -> bytes:
    """All of it. Raises InvalidRequest, and what opening a file raises."""
    try:
        # Without O_NONBLOCK a pipe would hold the job for ever.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            _check(path, os.fstat(file.fileno()))
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise from_oserror(error, "read the key file", path) from error
    if not SMALLEST <= len(data) <= LARGEST:
        raise InvalidRequest(
            "this is no key file",
            path=path,
            found=f"{'more than ' if len(data) > LARGEST else ''}{min(len(data), LARGEST)} bytes",
            expected=f"{SMALLEST} to {LARGEST} bytes",
            hint=f"Make one with: (umask 077 && head -c {SMALLEST} /dev/urandom > FILE)",
        )
    return data


def _check(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InvalidRequest("a key file must be a regular file", path=path)
    if stat.S_IMODE(status.st_mode) & 0o077:  # as ssh refuses them
        raise InvalidRequest(
            "this key file can be used by others than its owner",
            path=path,
            found=f"mode {stat.S_IMODE(status.st_mode):04o}",
            expected="0600 or 0400",
            hint="If nobody has seen it: chmod 0600. Else make a new key and remove this one.",
        )


def new_keys(listed: list[dict[str, t.Any]]) -> tuple[NewKey, ...]:
    """The option keys of vmdk_repository. Raises what read_key_file() raises."""
    return tuple(
        NewKey(key["name"], secret)
        for key in listed
        for secret in secrets_of(key["passphrase"], key["key_file"])
    )


def secrets_of(passphrase: str | None, key_file: str | None) -> tuple[str | bytes, ...]:
    """What was given to open a repository with. Raises what read_key_file() raises."""
    given: list[str | bytes] = []
    if passphrase is not None:
        given.append(passphrase)
    if key_file is not None:
        given.append(read_key_file(key_file))
    return tuple(given)
