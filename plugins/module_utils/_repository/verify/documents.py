# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Is every small object readable: what opens the repository, manifests and other documents?"""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError, DiskNotFound
from ..format.hold import PREFIX as HOLDS
from ..format.hold import decode_hold
from ..format.manifest import KEY as POINT_KEY
from ..format.manifest import PREFIX as POINTS
from ..format.manifest import decode
from ..format.pack import PREFIX as PACKS
from ..format.pack import pack_name
from ..format.quarantine import PREFIX as QUARANTINE
from ..format.quarantine import Quarantine, pack_of
from ..format.quarantine import decode as decode_quarantine
from ..format.spare import spare_key
from ..format.tomb import PREFIX as TOMBS
from ..format.tomb import decode_tomb, decode_witnesses, tomb_of, witnesses_key
from ..format.twins import examine_twins
from ..store.session import SESSIONS
from .finding import ERROR, NOTE, WARNING, Finding

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..access import Access
    from ..format.config import Config
    from ..format.manifest import RestorePoint
    from ..format.subkeys import SubKeys

_MEND = "The next backup, or quarantine: true, puts it back from its twin."
_STRANGER = "It is not used; move it elsewhere."


class _Rule(t.NamedTuple):
    """Documents that only have to be readable here, and what is to be done where one is not."""

    prefix: str
    kind: str
    severity: str
    how: str
    decode: Callable[[str, bytes, Config, SubKeys], object]


def _decode_tomb(key: str, data: bytes, config: Config, subkeys: SubKeys) -> object:
    decode_part = decode_witnesses if key == witnesses_key(key.split("/")[1]) else decode_tomb
    return decode_part(key, data, config, subkeys)


_RULES = (
    _Rule(
        HOLDS,
        "hold",
        ERROR,
        "Nothing is dropped as long as it cannot be read. Release it with vmdk_prune, and hold the "
        "restore point anew.",
        decode_hold,
    ),
    _Rule(
        TOMBS,
        "tomb",
        WARNING,
        "Nothing is lost, but backups reuse no pack until vmdk_prune has removed it.",
        _decode_tomb,
    ),
)


class Documents:
    """Reads them all once; `count` and `bytes` are what was read."""

    def __init__(self, access: Access, only: str | None = None) -> None:
        self._access, self._only = access, only
        self.findings: list[Finding] = []
        self.quarantine: dict[bytes, Quarantine | None] = {}  # None where it cannot be read
        self.to_mend: list[str] = []  # copies that have a good twin
        self.count = self.bytes = 0

    def points(self) -> list[RestorePoint]:
        """Those that can be read; a problem of the others becomes a finding."""
        points = []
        for key, data in self._read(POINTS, "manifest", ERROR, "vmdk_prune can drop it."):
            try:
                point = decode(
                    key, data, self._access.config, self._access.subkeys, self._access.store.url
                )
            except DiskError as error:
                self._add_manifest(key, error)
                continue
            points.append(point)
        return points

    def _add_manifest(self, key: str, error: DiskError) -> None:
        if not POINT_KEY.fullmatch(key):
            self._add("stranger", NOTE, key, "is no manifest by its name", _STRANGER)
            return
        how = "This restore point is lost: drop it with vmdk_prune, after the next backup."
        self._add("manifest", ERROR, key, _text(error), how)

    def others(self) -> None:
        self._twins()
        for rule in _RULES:
            for key, data in self._read(rule.prefix, rule.kind, rule.severity, rule.how):
                if rule.prefix == TOMBS and tomb_of(key) is None:
                    self._add("stranger", NOTE, key, "is no tomb by its name", _STRANGER)
                    continue
                try:
                    rule.decode(key, data, self._access.config, self._access.subkeys)
                except DiskError as error:
                    self._add(rule.kind, rule.severity, key, _text(error), rule.how)
        self._quarantine()
        for stored in self._access.store.list(SESSIONS):
            if stored.size:
                self._add("session", NOTE, stored.key, "should be empty", "Nothing reads it.")

    def _twins(self) -> None:
        for twins in examine_twins(self._access.store, self._access.subkeys):
            self.count += 2
            self.bytes += 2 * len(twins.good or b"")
            bad = ((twins.key, twins.wrong), (spare_key(twins.key), twins.spare_wrong))
            for key, error in bad:
                if error is None:
                    continue
                if twins.good is None:
                    how = "Both copies are damaged. Put one back from a copy of the repository."
                    self._add("key", ERROR, key, _text(error), how)
                    continue
                self.to_mend.append(key)
                kind = "spare" if key != twins.key else "key" if "/" in key else "repository"
                self._add(kind, WARNING, key, _text(error), _MEND)

    def _quarantine(self) -> None:
        how = "It still holds. quarantine: true writes it again, or lifts it."
        for key, data in self._read(QUARANTINE, "quarantine", WARNING, how):
            pack = pack_of(key)
            if pack is None:
                self._add("stranger", NOTE, key, "is not named after a pack", _STRANGER)
                continue
            self.quarantine[pack] = None
            try:
                self.quarantine[pack] = decode_quarantine(
                    key, data, self._access.config, self._access.subkeys
                )
            except DiskError as error:
                self._add("quarantine", WARNING, key, _text(error), how)

    def _read(self, prefix: str, kind: str, severity: str, how: str) -> Iterator[tuple[str, bytes]]:
        """In order, so that two runs say the same."""
        for key in sorted(stored.key for stored in self._access.store.list(prefix)):
            if prefix == POINTS and self._only not in (None, key):
                continue
            try:
                data = self._access.store.get(key)
            except DiskNotFound:  # removed since it was listed
                continue
            except DiskError as error:
                self._add(kind, severity, key, _text(error), how)
                continue
            self.count += 1
            self.bytes += len(data)
            yield key, data

    def _add(self, kind: str, severity: str, key: str, message: str, how: str) -> None:
        self.findings.append(Finding(kind, severity, key, message, how=how))


def list_packs(access: Access) -> tuple[dict[bytes, int], list[Finding]]:
    """Name to size, and what lies among them."""
    sizes, strangers = {}, []
    for stored in access.store.list(PACKS):
        name = pack_name(stored.key)
        if name is None:
            message = "is not named as a pack"
            strangers.append(Finding("stranger", NOTE, stored.key, message, how=_STRANGER))
        else:
            sizes[name] = stored.size
    return dict(sorted(sizes.items())), strangers


def _text(error: DiskError) -> str:
    found = "" if error.found is None else f", found {error.found}"
    return f"{error.message}{found}"
