# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers what. Behaviours register themselves here; what nobody answers goes to vcsim.

@handles("QueryChangedDiskAreas")
def changed(simulator, call):            # returns a Reply, raises a Fault, or returns FORWARD
@handles("GET /nfc")                     # an HTTP verb and the first part of the path
def served(simulator, request):          # answers through request (server.Request)
@after("ReconfigVM_Task")
def looked(simulator, call, reply):      # returns the Reply to send
@control("POST", "guest/write")
def write(simulator, query, body):       # returns bytes, or what becomes JSON
@reports("snapshots")
def count(simulator):                    # a part of GET state
@guards_files
def locked(simulator, verb, path):       # returns why `[ds] path` cannot be had now, or None
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

FORWARD = object()

METHODS: dict[tuple[str, str], Callable[..., Any]] = {}
AFTER: dict[str, list[Callable[..., Any]]] = {}
CONTROLS: dict[tuple[str, str], Callable[..., Any]] = {}
REPORTS: dict[str, Callable[..., Any]] = {}
FILE_GUARDS: list[Callable[..., Any]] = []
MODES: dict[str, Any] = {}


def handles(*methods: str, path: str = "/sdk") -> Callable[[Function], Function]:
    """`path` is the endpoint: /vslm/sdk and /pbm have methods of the same names."""

    def register(function: Function) -> Function:
        METHODS.update({(path, method): function for method in methods})
        return function

    return register


def after(*methods: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        for method in methods:
            AFTER.setdefault(method, []).append(function)
        return function

    return register


def control(verb: str, name: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        CONTROLS[verb, name] = function
        return function

    return register


def reports(name: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        REPORTS[name] = function
        return function

    return register


def guards_files(function: Function) -> Function:
    FILE_GUARDS.append(function)
    return function


def mode(name: str, default: Any) -> None:
    """Something that POST mode can switch; read it as `simulator.mode[name]`."""
    MODES[name] = default


def load_behaviours() -> None:
    package = importlib.import_module(f"{__package__}.behaviours")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
