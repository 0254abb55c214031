# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of a machine, a process of its own, is killed at random moments, night after night."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import Wish
from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import guest_tree
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.vm_backups import (
    Shelf,
    left_in,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

VM, DISK = "many00005", 2000
KILLS = 40
# Each backup is a process of its own, forked from one that has imported everything.
BACKUPS = """
import json, os, sys, time
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup import (
    backup_vm,
    request,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.libraries import require
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import libraries
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.removal import (
    Patience,
)
for library in ("blake3", "cryptography.hazmat.primitives.ciphers.aead", "zstandard"):
    require(library)
libraries.vim()
keys.COST = (16, 8, 1)
where, passphrase, repository, vm = json.loads(sys.argv[1]), *sys.argv[2:]
transport = ""
for transport in sys.stdin:
    pid = os.fork()
    if pid == 0:
        break
    print("begun", pid, flush=True)
    os.waitpid(pid, 0)
    print("over", flush=True)
else:
    sys.exit()
started = time.monotonic()
made = backup_vm.plan_vm_backup(
    request.VmBackupRequest(
        vm=vm,
        access=Access(repository=repository, passphrase=passphrase, vsphere=where),
        quiesce=CRASH_CONSISTENT,
        transports=(transport.strip(),),
        self_check=2,
        patience=Patience(removal=20, consolidation=20, settling=8, pause=0.05, longest_pause=0.2),
    )
).run(False)
print("made", made["restore_point"]["id"], time.monotonic() - started, flush=True)
"""


class Nights:
    """Backups, one after the other, some of which die."""

    def __init__(self, vcenter, repository):  # noqa: F811
        names = ("hostname", "username", "password", "port")
        where = {**{name: getattr(vcenter, name) for name in names}, "validate_certs": True}
        arguments = [repository["passphrase"], repository["repository"], VM]
        self._process = subprocess.Popen(
            [sys.executable, "-c", BACKUPS, json.dumps(where), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, transport, killed_after=None):
        """(id of the restore point, seconds); None if it died."""
        self._process.stdin.write(f"{transport}\n")
        self._process.stdin.flush()
        _begun, pid = self._process.stdout.readline().split()
        if killed_after is not None:
            time.sleep(killed_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        lines = []
        while not lines or lines[-1] != "over":
            lines.append(self._process.stdout.readline().strip())
        if len(lines) == 1:
            return None
        _made, point, seconds = lines[0].split()
        return point, float(seconds)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def shelf(modules, repository, tmp_path, monkeypatch):  # noqa: F811
    needed()
    with simulator("--vms", "6") as vcenter, guest_tree(vcenter, tmp_path / "guest") as tree:
        for name, value in {**vcenter.environment(), **tree.environment()}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
        # A run that dies before it hears the id of its lease leaves one that nobody can end: it
        # dies by itself, in five minutes, and until then the snapshot stays.
        vcenter.mode(lease_timeout=5.0)
        yield Shelf(vcenter, modules, repository)


@pytest.mark.serial
@pytest.mark.slow
def test_whatever_a_killed_backup_leaves_the_next_one_removes(shelf, repository):  # noqa: F811
    rolls = random.Random(6)
    left = 0
    with contextlib.closing(Nights(shelf.vcenter, repository)) as nights:
        took = {each: [nights.run(each)[1] for _run in range(2)] for each in ("hotadd", "nfc")}
        for number in range(KILLS):
            transport = ("hotadd", "nfc")[number % 2]
            offset, data = rolls.randrange(15 << 20), rolls.randbytes(5000)
            shelf.vcenter.guest_write(VM, DISK, offset, data)
            # As quick as this machine is now; some had to wait for what the one before had left.
            nights.run(transport, rolls.uniform(0, 1.2 * min(took[transport][-4:])))
            left += bool(left_in(shelf.vcenter))
            made = nights.run(transport)
            assert made is not None, f"the run after kill {number} failed"
            took[transport].append(made[1])
            assert left_in(shelf.vcenter) == [], f"after kill {number}"
    assert left > KILLS // 4  # or they died before they had made anything
    opened = Repository.open(repository["repository"], repository["passphrase"])
    assert opened.verify(Wish(level="data")).findings == []
    last = {"restore_point": opened.points()[-1].as_dict()}
    assert shelf.holds_what_the_guest_has(VM, last)
