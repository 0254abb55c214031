# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible bundles each module once for each playbook, which takes a second, and tests run hundreds
of playbooks. So what it keeps for one becomes a link to a folder that all of a test run share
(tests/tools/bundled.sh). Ansible locks what it makes there.

A bundle holds source only, and each task compiles it again. So bundles are kept with the compiled
code beside the source, which a Python of another version leaves alone.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib._bootstrap_external
import importlib.util
import io
import os
import zipfile
from pathlib import Path

from ansible import constants
from ansible._internal import _locking
from ansible.executor.module_common import _CachedModule
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: shared_bundles
type: notification
short_description: Bundle each module once for all playbooks of a test run
description: Links the folder of bundles to the one that E(VDISK_BUNDLES) names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "shared_bundles"

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(os.environ["VDISK_BUNDLES"])
        own = os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
        os.symlink(self._folder, own)

    def v2_playbook_on_stats(self, _stats: object) -> None:
        for lock in self._folder.glob("*.lock"):
            bundle, mark = lock.with_suffix(""), lock.with_suffix(".compiled")
            if bundle.exists() and not mark.exists():
                with _locking.named_mutex(str(lock)):
                    if not mark.exists():
                        compile_bundle(bundle)
                        mark.touch()


def compile_bundle(path: Path) -> None:
    bundle = _CachedModule.load(str(path))
    compiled = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(base64.b64decode(bundle.zip_data))) as source,
        zipfile.ZipFile(compiled, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            data = source.read(entry)
            target.writestr(entry, data)
            if entry.filename.endswith(".py"):
                target.writestr(f"{entry.filename}c", compiled_code(entry.filename, data))
    zip_data = base64.b64encode(compiled.getvalue())
    dataclasses.replace(bundle, zip_data=zip_data).dump(str(path))


def compiled_code(name: str, source: bytes) -> bytes:
    """As in a .pyc that is not compared with its source: a bundle does not change."""
    code = compile(source, name, "exec", dont_inherit=True)
    digest = importlib.util.source_hash(source)
    return importlib._bootstrap_external._code_to_hash_pyc(code, digest, False)
