# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests ask of the simulator behind the clients' backs: plain HTTP on a port of its own."""

from __future__ import annotations

import json
import sys
import traceback
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .handlers import CONTROLS, control
from .simulator import Simulator
from .soap import tag


@control("POST", "rule")
def add_rule(simulator: Simulator, query: dict[str, str], body: bytes) -> Any:
    rules = json.loads(body)
    for rule in rules if isinstance(rules, list) else [rules]:
        simulator.rules.add(rule)
    return simulator.rules.report()


@control("DELETE", "rule")
def clear_rules(simulator: Simulator, query: dict[str, str], body: bytes) -> Any:
    simulator.rules.clear()
    return []


@control("GET", "state")
def state(simulator: Simulator, query: dict[str, str], body: bytes) -> Any:
    with simulator.lock:
        return simulator.state()


@control("DELETE", "state")
def forget_calls(simulator: Simulator, query: dict[str, str], body: bytes) -> Any:
    """Counts begin anew."""
    simulator.calls.clear()
    return {}


@control("POST", "mode")
def switch(simulator: Simulator, query: dict[str, str], body: bytes) -> Any:
    changes = json.loads(body)
    unknown = sorted(set(changes) - set(simulator.mode))
    if unknown:
        raise ValueError(
            f"no mode {', '.join(unknown)}; there are {', '.join(sorted(simulator.mode))}"
        )
    simulator.mode.update(changes)
    return simulator.mode


@control("DELETE", "mode")
def reset(simulator: Simulator, query: dict[str, str], body: bytes) -> Any:
    """All modes as it was started with."""
    simulator.reset_modes()
    return simulator.mode


@control("POST", "property")
def assign(simulator: Simulator, query: dict[str, str], body: bytes) -> Any:
    """?type=Datastore&name=nfs1&path=summary.freeSpace&xsi=xsd:long; the body is its value."""
    named = simulator.upstream.all(query["type"], "name")
    [found] = [id for id, each in named.items() if each["name"].text == query["name"]]
    value = tag("val", body.decode(), xsi=query["xsi"])
    simulator.upstream.set(query["type"], found, {query["path"]: value})
    return {}


@control("POST", "session/expire")
def expire(simulator: Simulator, query: dict[str, str], body: bytes) -> Any:
    """?key=… one session, else all."""
    simulator.sessions.expire(query.get("key", ""))
    return simulator.sessions.report()


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ControlServer

    def _answer(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self._carry_out(url.path.strip("/"), query, body)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815

    def _carry_out(self, name: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        function = CONTROLS.get((self.command, name))
        if function is None:
            known = ", ".join(sorted(f"{verb} {each}" for verb, each in CONTROLS))
            return 404, {"error": f"no {self.command} {name}; there are {known}"}
        try:
            return 200, function(self.server.simulator, query, body)
        except (ValueError, TypeError, KeyError, LookupError) as error:
            return 400, {"error": repr(error)}
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            return 500, {"error": repr(error)}

    def log_message(self, *arguments: Any) -> None:
        pass


class ControlServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        super().__init__(("127.0.0.1", 0), _Request)
