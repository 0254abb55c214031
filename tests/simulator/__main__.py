# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated vCenter: prints one line of JSON when it is ready, and runs until interrupted.

python tests/simulator [--vms N] [--clusters N] [--storage vmfs|nfs|vsan] [--page 2000]
                       [--port N]
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

if __package__ in (None, ""):  # run as a script: make it the package that it is
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    __package__ = "simulator"

from simulator.build import CannotBeHad
from simulator.running import running


def main() -> int:
    options = _options()
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    if options.with_parent:
        threading.Thread(target=_wait_for_parent, args=(ended,), daemon=True).start()
    modes = {} if options.page is None else {"page": options.page}
    chosen = (options.vms, options.storage, options.port, options.clusters)
    try:
        with running(*chosen, **modes) as (_other, description):
            print(json.dumps(description), flush=True)
            ended.wait()
    except CannotBeHad as reason:
        print(reason, file=sys.stderr)
        return 2
    return 0


def _wait_for_parent(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    ended.set()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--vms", type=int, default=5, help="virtual machines; 10000 take a while")
    parser.add_argument("--clusters", type=int, default=1, help="clusters, three hosts in each")
    parser.add_argument("--storage", choices=("vmfs", "nfs", "vsan"), default="vmfs")
    parser.add_argument(
        "--page", type=int, help="changed areas in one reply of QueryChangedDiskAreas"
    )
    parser.add_argument("--port", type=int, default=0, help="on loopback; default: any free one")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when standard input closes, too"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
