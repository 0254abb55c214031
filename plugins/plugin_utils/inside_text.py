# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""module_utils/_guest/inside as one word of a command line, for hosts without the collection."""

from __future__ import annotations

import base64
import functools
import json
import pathlib
import zlib

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.inside import kernel

# Each after those that it imports.
_FILES = ("kernel", "again", "mark", "covers", "room", "calls", "command", "init", "main")
_START = """
import sys, types, json, zlib, base64
if sys.version_info < (3, 10):
    sys.stderr.write(MARK + "needs Python 3.10 on the host that has the mount, and "
                     + sys.executable + " is older; see ansible_vmdk_proxy_python")
    sys.exit(REFUSED)
package = types.ModuleType("inside")
package.__path__ = []
sys.modules["inside"] = package
for name, text in json.loads(zlib.decompress(base64.b85decode(PACKED))).items():
    module = types.ModuleType("inside." + name)
    module.__package__ = "inside"
    sys.modules[module.__name__] = module
    setattr(package, name, module)
    exec(compile(text, module.__name__, "exec"), module.__dict__)
sys.exit(package.main.main())
"""


@functools.cache
def inside_text() -> str:
    """A program for `python -c`; its first argument is the request, as JSON."""
    folder = pathlib.Path(kernel.__file__).parent
    texts = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in _FILES}
    packed = base64.b85encode(zlib.compress(json.dumps(texts).encode(), 9))
    return f"PACKED, MARK, REFUSED = {packed!r}, {kernel.MARK.decode()!r}, {kernel.REFUSED}{_START}"
