# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Changing settings of a virtual machine."""

from __future__ import annotations

import typing as t

from ..connection import libraries, tasks

if t.TYPE_CHECKING:
    from ..connection.session import Session


def reconfigure(session: Session, vm: t.Any, what: str, **settings: t.Any) -> None:
    """Fields of vim.vm.ConfigSpec, in one step. `what` completes "cannot …". Raises DiskError."""
    spec = libraries.vim().vm.ConfigSpec(**settings)
    tasks.wait(session, session.call(lambda: vm.ReconfigVM_Task(spec), what), what)
