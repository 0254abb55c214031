# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""All that is told of a guest whose root file system is mounted."""

from __future__ import annotations

import typing as t
from functools import partial

from ..._device.errors import DiskError
from ..limits import NoAnswer, each_within
from . import apk, dpkg, people, rpm, system
from .root import GuestRoot
from .windows import system as windows
from .windows.registry import Registry

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    _Reader = tuple[str, Callable[[], t.Any]]

SECONDS = 300  # a damaged file system can keep its readers for ever


def facts_of(folder: str) -> dict[str, t.Any]:
    """`problems` says in words what could not be read. Raises DiskError if nothing can."""
    packages: list[dict[str, str]] = []
    problems: list[str] = []
    found: dict[str, t.Any] = {
        **system.NOTHING, "last_boot": None, "users": [], "services": [],
        "packages": packages, "windows": None, "problems": problems,
    }  # fmt: skip
    lists = {"packages": packages, "problems": problems}
    try:
        for name, value in each_within(SECONDS, lambda: _facts(folder)):
            if name in lists:
                lists[name] += value
            else:
                found[name] = value
    except NoAnswer as error:
        problems.append(f"{folder}: {error} What is missing here was not read.")
    return found


def _facts(folder: str) -> Iterator[tuple[str, t.Any]]:
    """One after the other: what is told before something never ends is known."""
    with GuestRoot(folder) as root:
        registry = Registry.of(root)
        readers: Iterable[_Reader] = ((name, partial(read, root)) for name, read in _READERS)
        if registry is not None:
            readers = ((name, partial(read, registry)) for name, read in _WINDOWS)
        for name, read in readers:
            try:
                value = read()
            except DiskError as error:
                yield "problems", [str(error)]
                continue
            except Exception as error:  # made to confuse its readers
                what = f"{type(error).__name__}: {error}"
                yield "problems", [f"{folder}: its {name} cannot be read: {what}"]
                continue
            if name == "system":
                yield from value.items()
            elif name == "packages":
                yield name, [package.as_dict() for package in sorted(value)]
            else:
                yield name, value

        if registry is not None:
            yield "problems", registry.left_open()


_READERS: tuple[tuple[str, Callable[[GuestRoot], t.Any]], ...] = (
    ("system", system.system),
    ("last_boot", people.last_boot),
    ("users", people.users),
    ("services", people.services),
    ("packages", dpkg.packages),
    ("packages", rpm.packages),
    ("packages", apk.packages),
)
_WINDOWS: tuple[tuple[str, Callable[[Registry], t.Any]], ...] = (
    ("system", windows.system),
    ("windows", windows.windows),
    ("users", windows.users),
    ("services", windows.services),
    ("packages", windows.packages),
)
