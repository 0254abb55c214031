# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/rest and /api (tags, content libraries): vcsim's, with sessions that can end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .handlers import handles
from .soap import Reply

if TYPE_CHECKING:
    from .server import Request
    from .simulator import Simulator

LOGIN = ("/rest/com/vmware/cis/session", "/api/session")
_EXPIRED = {"type": "com.vmware.vapi.std.errors.unauthenticated", "value": {"messages": []}}


@handles(
    *(
        f"{verb} /{root}"
        for verb in ("GET", "POST", "PUT", "PATCH", "DELETE")
        for root in ("rest", "api")
    )
)
def rest(simulator: Simulator, request: Request) -> None:
    body, fields = request.read_body(), request.fields
    if simulator.sessions.is_expired(fields.get("vmware-api-session-id", "")):
        request.send(401, json.dumps(_EXPIRED).encode(), {"Content-Type": "application/json"})
        return
    reply = simulator.upstream.send(request.command, request.path, body, fields)
    if request.command == "POST" and request.url_path in LOGIN and reply.status < 300:
        simulator.sessions.begin(_key(reply))
    request.send(reply.status, reply.body, reply.headers)


def _key(reply: Reply) -> str:
    answer = json.loads(reply.body)
    return str(answer["value"] if isinstance(answer, dict) else answer)
