# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the user wrote, and which road it names. See docs: the disk reference."""

from __future__ import annotations

import enum
import os
import re
import stat
import typing as t

from .._device.errors import BadReference

FORMS = (
    "/srv/vm/web01.vmdk (a hosted VMDK)",
    "/srv/vm/web01.img or /dev/sdb (a raw file or a block device)",
    "[datastore1] web01/web01.vmdk (a managed disk, with hostname, username and password)",
    "nbd://host:10809/export, nbds://… or nbd+unix:///export?socket=/run/x.sock (an NBD server)",
    "web01@latest or web01@2026-11-22T02:00:00Z#disk0 (in a restore point, with repository)",
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NBD_SCHEMES = ("nbd", "nbds", "nbd+unix", "nbds+unix")


class Road(enum.Enum):
    """The kinds of place where a disk can live."""

    VMDK = "hosted VMDK"
    RAW = "raw file or block device"
    DATASTORE = "managed disk"
    NBD = "NBD server"
    RESTORE_POINT = "restore point"


class Reference(t.NamedTuple):
    """A parsed disk reference: the road, and the text with ~ and $VARIABLES expanded."""

    road: Road
    text: str


def parse(text: str, *, has_repository: bool = False) -> Reference:
    """Which kind of disk `text` names. Raises BadReference with all forms there are."""
    if is_on_datastore(text):
        return Reference(Road.DATASTORE, text)
    if is_served(text):
        return Reference(Road.NBD, text)
    scheme = _SCHEME.match(text)
    if scheme:
        raise _bad(text, f"knows no disks behind {scheme[1]}://")
    path = expand(text)
    if _looks_like_point(path):
        if has_repository:
            return Reference(Road.RESTORE_POINT, text)
        raise _bad(text, "looks like a restore point, which needs the option repository")
    if not path.strip() or "\0" in path:
        raise _bad(text, "is no name of a disk")
    return Reference(_file_road(path), path)


def expand(text: str) -> str:
    """With ~ and $VARIABLES of this host, which mean nothing in the name of a disk elsewhere."""
    if is_on_datastore(text) or is_served(text):
        return text
    return os.path.expandvars(os.path.expanduser(text))


def is_on_datastore(text: str) -> bool:
    """Whether the text means a managed disk, well named or not."""
    return re.match(r"\[[^\]]+\]", text) is not None


def is_served(text: str) -> bool:
    """Whether the text means a disk behind an NBD server, well named or not."""
    scheme = _SCHEME.match(text)
    return scheme is not None and scheme[1].lower() in _NBD_SCHEMES


def _looks_like_point(path: str) -> bool:
    if path.lower().endswith(".vmdk") or os.path.exists(path):
        return False
    return "@" in path and "/" not in path.split("@", maxsplit=1)[0]


def _file_road(path: str) -> Road:
    """By name, never by content: what a guest writes into its disk must not choose the format."""
    if path.lower().endswith(".vmdk") and not is_block_device(path):
        return Road.VMDK
    return Road.RAW


def is_block_device(path: str) -> bool:
    """Whether path is a block device, such as /dev/sdb."""
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _bad(text: str, why: str) -> BadReference:
    forms = "; ".join(FORMS)
    return BadReference(f"the disk reference '{text}' {why}", hint=f"A disk is one of: {forms}")
