# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Every file of a folder: to the virus scanner, and searched for secrets."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import os
import typing as t

from .clamd import Verdict
from .magic import HEAD, is_archive
from .secrets import LARGEST, find_secrets, is_text
from .walk import shown, walk

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.progress import Progress
    from .clamd import Clamd
    from .report import Clock, Report
    from .walk import Seen

THREADS = 4
_AT_ONCE = 64  # files that are open
_CHUNK = 1 << 20


class Infected(t.NamedTuple):
    """A file of the tree, for whoever is going to move it away."""

    path: bytes
    signature: str


@dataclasses.dataclass(frozen=True)
class TreeScan:
    """What is looked for; None: not for that."""

    folder: str
    engine: Clamd | None
    secrets: bool
    allow: Sequence[str]
    clock: Clock
    progress: Progress

    def run(self, report: Report) -> list[Infected]:
        """Into the report. Raises MissingTool when the engine has died."""
        infected: list[Infected] = []
        usage = os.statvfs(self.folder)
        self.progress.start(self.folder, (usage.f_blocks - usage.f_bfree) * usage.f_frsize)
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for batch in _batches(walk(self.folder, report.skip)):
                try:
                    if self.clock.is_over:
                        report.stop(shown(batch[0].path))
                        return infected
                    for seen, found in zip(batch, pool.map(self._look, batch), strict=True):
                        self._note(report, seen, found, infected)
                finally:
                    for seen in batch:
                        os.close(seen.fd)
        self.progress.finish()
        return infected

    def _look(self, seen: Seen) -> _Found:
        """In one of the threads."""
        found = _Found()
        try:
            if self.engine is not None:
                found.verdict = self._scan(self.engine, seen)
                if found.verdict.signature:
                    found.where = "archive" if is_archive(os.pread(seen.fd, HEAD, 0)) else "file"
            if self.secrets and is_text(seen.fd):
                found.secrets = list(find_secrets(seen, self.allow))
                if seen.info.st_size > LARGEST:
                    found.problem = f"searched for secrets up to byte {LARGEST} only"
        except OSError as error:
            found.problem = error.strerror
        return found

    def _scan(self, engine: Clamd, seen: Seen) -> Verdict:
        if seen.info.st_size > engine.limits.largest:
            return Verdict(skipped=f"{seen.info.st_size} bytes: larger than max_file_size")
        problem = _unreadable(seen.fd)
        verdict = engine.scan(seen.fd)
        return verdict if verdict.signature or not problem else Verdict(skipped=problem)

    def _note(self, report: Report, seen: Seen, found: _Found, infected: list[Infected]) -> None:
        report.files += 1
        report.size += seen.info.st_size
        self.progress.advance(seen.info.st_size)
        verdict = found.verdict
        if verdict.signature:
            infected.append(Infected(seen.path, verdict.signature))
            report.add(
                report.infected,
                {**shown(seen.path), "signature": verdict.signature, "where": found.where},
            )
        for reason in filter(None, (verdict.skipped, found.problem)):
            report.skip(seen.path, reason)
        for secret in found.secrets:
            report.add(report.secrets, secret)


@dataclasses.dataclass
class _Found:
    verdict: Verdict = dataclasses.field(default_factory=Verdict)
    where: str = "file"
    secrets: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    problem: str | None = None


def _unreadable(fd: int) -> str | None:
    """Why not all of a file can be read: to ClamAV such a file is a clean one. What is read here is
    in memory for it."""
    at, buffer = 0, bytearray(_CHUNK)
    try:
        while count := os.preadv(fd, [buffer], at):
            at += count
    except OSError as error:
        return f"{error.strerror} at byte {at} or soon after"
    return None


def _batches(files: Iterator[Seen]) -> Iterator[list[Seen]]:
    while batch := list(itertools.islice(files, _AT_ONCE)):
        yield batch
