# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""NFS-Ganesha, the server in user space, for one folder and as long as its parent lives.

NFS 4 only (4.1 is what ESXi 6 and newer mount), as that needs neither rpcbind nor other ports.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import time
import typing as t

from ..._device.errors import InvalidRequest, MountFailed
from ..._device.files import remove_if_there
from ..command import require

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PSEUDO = "/vdisk"  # what the folder is called over NFS
PACKAGE = "nfs-ganesha nfs-ganesha-vfs"
_START_SECONDS = 30
_REFUSED = ":CONFIG :CRIT :"  # in its log, of what it does not take from the configuration
_CONFIGURATION = """\
NFS_CORE_PARAM {{
  NFS_Port = {port};
  Bind_addr = {address};
  Protocols = 4;
  Enable_UDP = false;
  Enable_NLM = false;
  Enable_RQUOTA = false;
}}
NFS_KRB5 {{ Active_krb5 = false; }}
NFSv4 {{
  Minor_Versions = 0, 1, 2;
  Graceless = true;
  RecoveryBackend = fs;
  RecoveryRoot = "{state}";
}}
EXPORT {{
  Export_Id = 1;
  Path = "{folder}";
  Pseudo = "{pseudo}";
  Filesystem_Id = 118.1;
  Protocols = 4;
  Transports = TCP;
  SecType = sys;
  Squash = No_Root_Squash;
  Access_Type = None;
  FSAL {{ Name = VFS; }}
  CLIENT {{ Clients = {clients}; Access_Type = RW; }}
}}
LOG {{ Default_Log_Level = EVENT; }}
"""


class Listen(t.NamedTuple):
    """Where the server answers, and whom. NFS has no other guard than the addresses of clients."""

    address: str
    port: int
    clients: Sequence[str]  # addresses and networks


def configuration(folder: str, state: str, listen: Listen) -> str:
    """Raises InvalidRequest for what would end a value in the file, or let in anybody else."""
    for value in (folder, state):
        if any(each in value for each in '";{}\n#'):
            raise InvalidRequest("cannot be used for NFS-Ganesha", found=value)
    if not 0 < listen.port < 1 << 16:
        raise InvalidRequest(f"{listen.port} is no port", expected="1 to 65535")
    return _CONFIGURATION.format(
        folder=folder,
        state=state,
        address=_plain(ipaddress.ip_address, listen.address),
        port=listen.port,
        clients=_networks(listen.clients),
        pseudo=PSEUDO,
    )


def _networks(clients: Sequence[str]) -> str:
    """Not names nor patterns: whoever answers for a name could let himself in."""
    if not clients:
        raise InvalidRequest("names no address that may mount it (clients)")
    return ", ".join(_plain(_network, client) for client in clients)


def _network(text: str) -> object:
    return ipaddress.ip_network(text, strict=False)


def _plain(kind: Callable[[str], object], text: str) -> str:
    try:
        if "%" not in text:
            return str(kind(text))
    except ValueError:
        pass
    raise InvalidRequest(
        "is neither an IP address nor a network",
        found=text,
        expected="such as 192.0.2.11; and for clients also 192.0.2.0/28",
    )


def start(folder: str, state: str, listen: Listen) -> subprocess.Popen[bytes]:
    """The server, once it answers. `state`: a folder of its own.

    It dies with the thread that calls this. Raises MissingTool, MountFailed.
    """
    program = require("ganesha.nfsd", PACKAGE)
    check_free(listen)
    path, log = os.path.join(state, "ganesha.conf"), os.path.join(state, "ganesha.log")
    remove_if_there(log)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(configuration(folder, state, listen))
    pid = os.path.join(state, "ganesha.pid")
    # Killed along with the thread that starts it: without us there is nothing to serve.
    leash = [require("setpriv", "util-linux"), "--pdeathsig", "KILL", "--"]
    argv = [*leash, program, "-F", "-f", path, "-L", log, "-p", pid]
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function # no Ansible down here
        argv, stdin=subprocess.DEVNULL, cwd="/"
    )
    try:
        _await(process, listen, log)
    except BaseException:
        stop(process)
        raise
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """However long it takes to answer its last request."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_free(listen: Listen) -> None:
    """Raises MountFailed where another server answers."""
    if _answers(listen):
        raise MountFailed(
            f"something answers on port {listen.port} of {listen.address} already",
            hint="Stop it, or choose another port (ESXi mounts port 2049 only).",
        )


def _await(process: subprocess.Popen[bytes], listen: Listen, log: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while not _answers(listen):
        if process.poll() is not None or time.monotonic() > end:
            raise MountFailed("NFS-Ganesha did not start", path=log, found=_tail(log))
        time.sleep(0.1)
    if _REFUSED in _read(log):  # it goes on, without the folder
        raise MountFailed(
            "NFS-Ganesha does not serve the folder",
            path=log,
            found=_tail(log),
            hint=f"Are all of its packages there? apt-get install {PACKAGE}",
        )


def _answers(listen: Listen) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((listen.address, listen.port), 1).close()
        return True
    return False


def _tail(log: str) -> str:
    """What it complained of last; it says much that is none."""
    lines = _read(log).splitlines()
    bad = [line for line in lines if ":CRIT :" in line or ":FATAL :" in line]
    bad = [line for line in bad if _REFUSED in line] or bad
    return " / ".join(line.rpartition(" :")[2].strip() for line in bad[-4:]) or "nothing logged"


def _read(log: str) -> str:
    with contextlib.suppress(OSError), open(log, errors="replace") as stream:
        return stream.read()
    return ""
