# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the get-pip script that ansible-test fetches from a host of its own.

It does the same on networks that do not reach that host, with what is at hand: the pip that came
with this Python, then the wanted one from the package index.
"""

import subprocess
import sys

wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
python = [sys.executable, "-m"]
subprocess.run([*python, "ensurepip"], stdout=subprocess.DEVNULL, check=True)
raise SystemExit(subprocess.run([*python, "pip", "install", *wanted], check=False).returncode)
