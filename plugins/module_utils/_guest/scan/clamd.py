# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""ClamAV's daemon, started for one scan and gone with it.

Files go to it as open descriptors: no name ever leaves this process, so none can break anything,
and it needs no right to open what strangers wrote. Where there is a user for it, it is that user,
for the same reason.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing as t

from ..._device.errors import DiskError, InvalidRequest, MissingTool
from .. import command

_PACKAGE = "clamav-daemon"
_USER = "clamav"
_PREFIX = "vdisk-scan-"
_START_SECONDS = 300  # a full set of signatures takes half a minute to load
_STOP_SECONDS = 10
_ANSWER_SPARE = 30  # seconds that it may take beyond the limit it has been given
_LOG = 64 << 10  # bytes of its log that are read, from the end
_TOLD = 600  # characters of its log that a message can bear
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIMITS, _ENCRYPTED = "Heuristics.Limits.Exceeded", "Heuristics.Encrypted"
_CONFIGURATION = """\
DatabaseDirectory {database}
LocalSocket {folder}/socket
LocalSocketMode 600
TemporaryDirectory {folder}/tmp
Foreground yes
MaxThreads {threads}
MaxFileSize {largest}
MaxScanSize {most}
MaxScanTime {milliseconds}
AlertExceedsMax yes
AlertEncrypted yes
SelfCheck 0
"""


class Limits(t.NamedTuple):
    """Bytes of a file, seconds for a file; what is in an archive may be four times as large."""

    largest: int
    seconds: int
    threads: int


class Verdict(t.NamedTuple):
    """`signature` of what was found; `skipped`: why not all of it was looked at. Or none."""

    signature: str | None = None
    skipped: str | None = None


class Clamd:
    """Scans from many threads at once."""

    def __init__(self, database: str, limits: Limits) -> None:
        """Raises MissingTool, InvalidRequest for signatures that cannot be used."""
        self.database, self.limits = os.path.realpath(database), limits
        program = command.require("clamd", _PACKAGE)
        if not os.path.isdir(self.database):
            raise InvalidRequest(
                "there is no folder of ClamAV's signatures",
                path=database,
                hint="Run freshclam, or name another folder (option database).",
            )
        _sweep()
        # Without a name: what has one in the daemon's folder may be changed into anything by it.
        # pylint: disable-next=consider-using-with # see close()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = self._start(program)
            self._await()
        except BaseException:
            self.close()
            raise

    def scan(self, fd: int) -> Verdict:
        """What it says of an open regular file. Raises MissingTool when it has died."""
        try:
            answer = self._ask(b"zFILDES\0", fd)
        except (OSError, TimeoutError) as error:
            if self._process is None or self._process.poll() is not None:
                raise self._failure("clamd ended in the middle of the scan") from error
            return Verdict(skipped=f"clamd did not answer: {error}")
        return _verdict(answer)

    def facts(self) -> dict[str, t.Any]:
        """Which engine, and which signatures: `ClamAV 1.4.3/27800/Sun Nov 22 10:00:00 2026`."""
        name, _slash, rest = self._ask(b"zVERSION\0").partition("/")
        number, _slash, date = rest.partition("/")
        return {
            "name": name,
            "database": self.database,
            "signatures": number or None,
            "signatures_date": date or None,
        }

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Clamd:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _start(self, program: str) -> subprocess.Popen[bytes]:
        user = _user()
        configuration = os.path.join(self._folder, "clamd.conf")
        os.mkdir(os.path.join(self._folder, "tmp"))
        with open(configuration, "w", encoding="utf-8") as stream:
            stream.write(
                _CONFIGURATION.format(
                    folder=self._folder,
                    database=self.database,
                    threads=self.limits.threads,
                    largest=self.limits.largest,
                    most=4 * self.limits.largest,
                    milliseconds=1000 * self.limits.seconds,
                )
            )
        if user is not None:
            for name in (".", "tmp", "clamd.conf"):
                os.chown(os.path.join(self._folder, name), user.pw_uid, user.pw_gid)
        return subprocess.Popen(  # pylint: disable=ansible-bad-function # no Ansible down here
            [program, "-c", configuration],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd="/",
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            preexec_fn=_die_with_parent,  # noqa: PLW1509 # no threads yet
        )

    def _await(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                raise self._failure("clamd ended at once")
            if time.monotonic() > end:
                raise self._failure(f"clamd was not ready in {_START_SECONDS} seconds")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self._ask(b"zPING\0") == "PONG"
        return False

    def _ask(self, words: bytes, fd: int | None = None) -> str:
        """Raises OSError."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(self.limits.seconds + _ANSWER_SPARE)
            line.connect(os.path.join(self._folder, "socket"))
            line.sendall(words)
            if fd is not None:
                socket.send_fds(line, [b"\0"], [fd])
            answer = b""
            while not answer.endswith(b"\0"):
                piece = line.recv(4096)
                if not piece:
                    raise ConnectionResetError("the answer broke off")
                answer += piece
        return answer[:-1].decode(errors="replace")

    def _failure(self, what: str) -> DiskError:
        size = os.fstat(self._log.fileno()).st_size
        log = os.pread(self._log.fileno(), _LOG, max(0, size - _LOG)).decode(errors="replace")
        said = [line for line in log.splitlines() if "ERROR" in line or "WARN" in line]
        return MissingTool(
            what,
            path=self.database,
            found=" ".join(said)[-_TOLD:] or "nothing in its log",
            hint="The folder must hold signatures (freshclam fetches them), and the user "
            f"{_USER} must be able to read it.",
        )


def _sweep() -> None:
    """Remove the folders of scans that were killed; their daemons died with them."""
    folder = tempfile.gettempdir()
    for name in os.listdir(folder):
        process = name[len(_PREFIX) :].partition("-")[0] if name.startswith(_PREFIX) else ""
        if process.isdigit() and not os.path.exists(f"/proc/{process}"):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def _verdict(answer: str) -> Verdict:
    """Of `fd[9]: Name.Of-It FOUND`, `fd[9]: OK` or `fd[9]: why not ERROR`."""
    text = answer.partition(": ")[2]
    if text == "OK":
        return Verdict()
    what, _blank, word = text.rpartition(" ")
    if word != "FOUND":
        return Verdict(skipped=f"the engine cannot read it: {what.rstrip('. ')}")
    if what.startswith(_LIMITS):
        return Verdict(skipped=f"beyond a limit of the engine: {what[len(_LIMITS) + 1 :]}")
    if what.startswith(_ENCRYPTED):
        return Verdict(skipped="encrypted, so nobody can look inside")
    return Verdict(signature=what)


def _user() -> pwd.struct_passwd | None:
    """Who shall read what strangers wrote; None where we are not root ourselves."""
    if os.geteuid():
        return None
    for name in (_USER, "clamscan", "nobody"):  # Debian and others, Fedora
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
