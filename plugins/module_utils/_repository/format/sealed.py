# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""JSON documents that carry their own signature: docs/repository-format.md, "Signed documents"."""

from __future__ import annotations

import hmac
import json
import typing as t

from ..._device.errors import RepositoryDamaged

if t.TYPE_CHECKING:
    from collections.abc import Callable

    Sign = Callable[[bytes], str]  # 64 hexadecimal digits

_HEAD = b',\n"signature": "'
_TAIL = b'"\n}\n'
_DIGITS = 64


def seal(facts: dict[str, t.Any], sign: Sign) -> bytes:
    """The document; `signature` is its last member and covers every byte before it."""
    body = json.dumps(facts, ensure_ascii=True, allow_nan=False)[:-1].encode() + _HEAD
    return body + sign(body).encode() + _TAIL


def unseal(key: str, data: bytes, sign: Sign) -> dict[str, t.Any]:
    """What was sealed. Raises RepositoryDamaged naming `key`."""
    body, signature = data[: -_DIGITS - len(_TAIL)], data[-_DIGITS - len(_TAIL) : -len(_TAIL)]
    if not data.endswith(_TAIL) or not hmac.compare_digest(sign(body).encode(), signature):
        raise RepositoryDamaged(
            "its signature does not fit its content: it was changed or damaged", path=key
        )
    return parse(key, data)


def parse(key: str, data: bytes) -> dict[str, t.Any]:
    """The members of a document, signature unseen. Raises RepositoryDamaged."""
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise RepositoryDamaged("is not a JSON document", path=key, found=f"{data[:20]!r}")
    facts.pop("signature", None)
    return facts


class Members:
    """Reads members of a document by type; anything else is RepositoryDamaged naming it."""

    def __init__(self, key: str, facts: t.Any, where: str = "") -> None:
        self.key, self.where = key, where
        if not isinstance(facts, dict):
            raise self._damaged("", facts, "an object")
        self.facts = facts

    def _damaged(self, name: str, found: object, expected: str) -> RepositoryDamaged:
        return RepositoryDamaged(
            f"its member {self.where}{name} is wrong",
            path=self.key,
            found=repr(found)[:80],
            expected=expected,
        )

    def text(self, name: str) -> str:
        value = self.facts.get(name)
        if not isinstance(value, str):
            raise self._damaged(name, value, "a text")
        return value

    def number(self, name: str, most: int = 2**63 - 1) -> int:
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise self._damaged(name, value, f"a number from 0 to {most}")
        return value

    def binary(self, name: str, length: int) -> bytes:
        value = self.facts.get(name)
        try:
            data = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            data = b""
        if len(data) != length or data.hex() != value:
            raise self._damaged(name, value, f"{2 * length} hexadecimal digits")
        return data

    def one_of(self, name: str, choices: t.Sequence[object]) -> t.Any:
        value = self.facts.get(name)
        if value not in choices:
            raise self._damaged(name, value, " or ".join(str(choice) for choice in choices))
        return value

    def items(self, name: str) -> list[t.Any]:
        value = self.facts.get(name)
        if not isinstance(value, list):
            raise self._damaged(name, value, "a list")
        return value

    def mapping(self, name: str) -> dict[str, t.Any]:
        value = self.facts.get(name)
        if not isinstance(value, dict):
            raise self._damaged(name, value, "an object")
        return value
