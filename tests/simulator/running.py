# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts everything that a simulated vCenter is made of, and ends all of it."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import HTTPServer
from typing import Any

# folder, mends and rest register themselves; so do the behaviours
from . import build, certificate, contents, folder, handlers, mends, rest  # noqa: F401
from .control import ControlServer
from .server import Server
from .simulator import Simulator
from .upstream import Upstream
from .world import World, machines


@contextlib.contextmanager
def running(
    vms: int = 5, storage: str = "vmfs", port: int = 0, clusters: int = 1, **modes: Any
) -> Iterator[tuple[Simulator, dict[str, Any]]]:
    """The simulator, and what a client has to know of it (docs/simulator.md)."""
    program = str(build.vcsim())
    handlers.load_behaviours()
    with contextlib.ExitStack() as stack:
        home = tempfile.mkdtemp(prefix="vdisk-simulator-", dir=quick_place())
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        modes = {"storage": storage, **modes}
        world = World(home, machines(vms, clusters), storage, clusters=clusters, modes=modes)
        address = stack.enter_context(_vcsim(program, world))
        upstream = Upstream(address, world.username, world.password)
        [datacenter] = upstream.all("Datacenter", "name")
        world.datacenter_reference = ("Datacenter", datacenter)
        simulator = Simulator(world, upstream)
        contents.fill(simulator)
        ca_file, tls = certificate.make(home)
        server = Server(simulator, port, tls)
        control = ControlServer(simulator)
        for each in (server, control):
            stack.enter_context(_serving(each))
        yield simulator, _description(simulator, server, control, ca_file)


def quick_place() -> str | None:
    """In memory where there is plenty: the files of ten thousand machines are made in a second."""
    try:
        plenty = shutil.disk_usage("/dev/shm").free > 2 << 30
    except OSError:
        return None
    return "/dev/shm" if plenty and os.access("/dev/shm", os.W_OK) else None


def _description(
    simulator: Simulator, server: Server, control: ControlServer, ca_file: str
) -> dict[str, Any]:
    world = simulator.world
    return {
        "hostname": "127.0.0.1",
        "port": server.server_port,
        "username": world.username,
        "password": world.password,
        "ca_file": ca_file,
        "datacenter": world.datacenter,
        "datastores": world.datastores,
        "datastore_dir": world.datastore_dir,
        "control_url": f"http://127.0.0.1:{control.server_port}",
    }


@contextlib.contextmanager
def _vcsim(program: str, world: World) -> Iterator[tuple[str, int]]:
    """It ends when its input closes: also when this process is killed."""
    environment = {**os.environ, "TMPDIR": world.home}
    inventory = json.dumps(world.inventory())
    with open(os.path.join(world.home, "vcsim.log"), "w+") as log:
        process = subprocess.Popen(
            [program, "-home", world.home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
            start_new_session=True,  # an interrupt from the terminal is for the interposer
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(inventory + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                log.seek(0)
                raise RuntimeError(f"vcsim did not start: {log.read()[-2000:]}")
            url = urllib.parse.urlsplit(line.strip())
            yield url.hostname or "", url.port or 0
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(60)  # it removes the files of ten thousand machines
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


@contextlib.contextmanager
def _serving(server: HTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
