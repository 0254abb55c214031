# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of AWX's REST API as `configure_awx.yml` uses, on the loopback interface.

Objects, filters, associations and surveys behave as those of AWX 24 do; what AWX refuses is refused
here: unknown playbooks, surveys and schedules with mistakes, templates of unknown fields.
"""

from __future__ import annotations

import json
import re
import threading
import typing as t
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jinja2

TOKEN = "the-token-of-these-tests"
KINDS = (
    "organizations", "execution_environments", "projects", "credential_types", "credentials",
    "inventories", "hosts", "groups", "job_templates", "schedules",
)  # fmt: skip
ASSOCIATIONS = {"credentials": "credentials", "hosts": "hosts", "children": "groups"}
ANSWERS = {"text": str, "textarea": str, "multiplechoice": str, "integer": int}
Object = dict[str, t.Any]


class Refused(Exception):
    """AWX answers 400 to that."""


class Awx:
    """All objects, and every request that wants to change one."""

    def __init__(self, project: Path) -> None:
        self.project = project  # what a project of this AWX holds
        self.objects: dict[str, dict[int, Object]] = {kind: {} for kind in KINDS}
        self.surveys: dict[int, Object] = {}
        self.linked: dict[tuple[str, int, str], list[int]] = {}
        self.writes: list[str] = []
        self._next = 1
        self.add("organizations", {"name": "Default"})
        self.writes.clear()

    def find(self, kind: str, query: dict[str, str]) -> list[Object]:
        kinds = ("projects", "job_templates") if kind == "unified_job_templates" else (kind,)
        found = (entry for each in kinds for entry in self.objects[each].values())
        return [
            entry
            for entry in found
            if all(str(entry.get(key)) == value for key, value in query.items())
        ]

    def named(self, kind: str, name: str) -> Object:
        (entry,) = self.find(kind, {"name": name})
        return entry

    def add(self, kind: str, fields: Object) -> Object:
        self._check(kind, fields)
        number, self._next = self._next, self._next + 1
        url = f"/api/v2/{kind}/{number}/"
        entry = {"kind": "", "description": "", **fields, "id": number, "url": url}
        entry |= {"type": kind, "summary_fields": {}, "scm_revision": "", "related": {}}
        if kind == "job_templates":
            entry["related"] = {"survey_spec": f"{url}survey_spec/"}
        if kind == "groups":
            entry["related"] = {name: f"{url}{name}/" for name in ("hosts", "children")}
        self.objects[kind][number] = entry
        return entry

    def change(self, kind: str, number: int, fields: Object) -> Object:
        entry = self.objects[kind][number]
        self._check(kind, {**entry, **fields})
        entry.update(fields)
        return entry

    def shown(self, entry: Object) -> Object:
        """An object as AWX shows it: secrets of credentials it never does."""
        if entry["type"] != "credentials":
            return entry
        fields = self.objects["credential_types"][entry["credential_type"]]["inputs"]["fields"]
        secret = {field["id"] for field in fields if field.get("secret")}
        inputs = entry["inputs"]
        hidden = {key: "$encrypted$" if key in secret else inputs[key] for key in inputs}
        return {**entry, "inputs": hidden}

    def set_survey(self, number: int, survey: Object) -> None:
        check_survey(survey)
        self.surveys[number] = survey

    def link(self, kind: str, number: int, name: str, change: Object) -> None:
        linked = self.linked.setdefault((kind, number, name), [])
        if change.get("disassociate"):
            linked.remove(change["id"])
        else:
            assert change["id"] in self.objects[ASSOCIATIONS[name]]
            linked.append(change["id"])

    def links(self, kind: str, number: int, name: str) -> list[Object]:
        linked = self.linked.get((kind, number, name), [])
        return [self.objects[ASSOCIATIONS[name]][each] for each in linked]

    def _check(self, kind: str, fields: Object) -> None:
        if kind == "job_templates" and fields["playbook"] not in playbooks(self.project):
            raise Refused(f"Playbook not found for project: {fields['playbook']}")
        if kind == "credential_types":
            check_credential_type(fields)
        if kind == "schedules":
            self._check_schedule(fields)

    def _check_schedule(self, fields: Object) -> None:
        if not re.search(r"^DTSTART\S+:\d{8}T\d{6}Z? RRULE:.*INTERVAL=\d", fields["rrule"]):
            raise Refused(f"not a rule: {fields['rrule']}")
        survey = self.surveys[fields["unified_job_template"]]
        answers(survey, fields.get("extra_data", {}))


def playbooks(project: Path) -> set[str]:
    """Files of a project that AWX offers as playbooks."""
    plays = re.compile(r"^\s*-?\s*(hosts|(ansible\.builtin\.)?import_playbook):", re.MULTILINE)
    folders = ("playbooks", "extensions/patterns")
    found = (path for folder in folders for path in (project / folder).rglob("*.yml"))
    return {
        str(path.relative_to(project))
        for path in found
        if "tasks" not in path.parts and plays.search(path.read_text(encoding="utf-8"))
    }


def check_survey(survey: Object) -> None:
    seen = set()
    if set(survey) < {"name", "description", "spec"} or not survey["spec"]:
        raise Refused("a survey has a name, a description and questions")
    for question in survey["spec"]:
        variable, kind = question["variable"], ANSWERS[question["type"]]
        if not isinstance(question["required"], bool) or not question["question_name"]:
            raise Refused(f"{variable}: required and question_name")
        if variable in seen:
            raise Refused(f"{variable} is asked for twice")
        seen.add(variable)
        default = question.get("default", "")
        if default != "" and not isinstance(default, kind):
            raise Refused(f"{variable}: default {default!r} is not {kind.__name__}")
        choices = question.get("choices")
        if question["type"] == "multiplechoice" and default not in (choices or []):
            raise Refused(f"{variable}: {default!r} is none of {choices}")


def answers(survey: Object, given: Object) -> Object:
    """What a launch hands to the job: the answers, and defaults for the rest.

    To what is required a launch has to give an answer, for all that there is a default: that one
    is for people, who have it in their form.
    """
    asked = {question["variable"]: question for question in survey["spec"]}
    if unasked := set(given) - set(asked):
        raise Refused(f"not in the survey: {unasked}")
    result = {}
    for variable, question in asked.items():
        if variable not in given and question["required"]:
            raise Refused(f"'{variable}' value missing")
        value = given.get(variable, question.get("default"))
        if value is None or (value == "" and question["type"] == "integer"):
            continue
        if isinstance(value, bool) or not isinstance(value, ANSWERS[question["type"]]):
            raise Refused(f"{value!r} is no answer for {variable}")
        if "choices" in question and value not in question["choices"]:
            raise Refused(f"{value!r} is no choice of {variable}")
        result[variable] = value
    return result


def check_credential_type(fields: Object) -> None:
    inputs = fields["inputs"]
    allowed = {"id", "label", "type", "secret", "default", "help_text", "multiline"}
    for field in inputs["fields"]:
        if set(field) - allowed or field.setdefault("type", "string") not in ("string", "boolean"):
            raise Refused(f"not a field: {field}")
    names = {field["id"]: "EXAMPLE" for field in inputs["fields"]}
    if unknown := set(inputs.get("required", [])) - set(names):
        raise Refused(f"required, and no field: {unknown}")
    for name, template in fields["injectors"]["env"].items():
        if name.startswith("ANSIBLE_"):
            raise Refused(f"{name} is not allowed")
        jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render(names)


def injected(kind: Object, inputs: Object) -> dict[str, str]:
    """The environment that a credential of this type gives to a job."""
    fields = kind["inputs"]["fields"]
    values = {field["id"]: False for field in fields if field["type"] == "boolean"} | inputs
    templates = kind["injectors"]["env"].items()
    return {name: jinja2.Environment().from_string(text).render(values) for name, text in templates}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    awx: Awx

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def log_message(self, *_arguments: t.Any) -> None:
        pass

    def _serve(self, verb: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"detail": "no token"})
        if verb != "GET":
            self.awx.writes.append(f"{verb} {url.path}")
        words = url.path.removeprefix("/api/v2/").strip("/").split("/")
        query = dict(urllib.parse.parse_qsl(url.query))
        try:
            self._answer(*self._act(verb, words, query, json.loads(body) if body else {}))
        except Refused as reason:
            self._answer(400, {"error": str(reason), "detail": str(reason)})

    def _act(self, verb: str, words: list[str], query: Object, body: Object) -> tuple[int, t.Any]:
        match verb, words:
            case "GET", [kind]:
                return 200, _page([self.awx.shown(each) for each in self.awx.find(kind, query)])
            case "POST", [kind]:
                return 201, self.awx.shown(self.awx.add(kind, body))
            case "GET", [kind, number]:
                return 200, self.awx.shown(self.awx.objects[kind][int(number)])
            case "PATCH", [kind, number]:
                return 200, self.awx.shown(self.awx.change(kind, int(number), body))
            case "GET", ["job_templates", number, "survey_spec"]:
                return 200, self.awx.surveys.get(int(number), {})
            case "POST", ["job_templates", number, "survey_spec"]:
                return 200, self.awx.set_survey(int(number), body)
            case "GET", [kind, number, name]:
                return 200, _page(self.awx.links(kind, int(number), name))
            case "POST", [kind, number, name]:
                return 204, self.awx.link(kind, int(number), name, body)
        raise Refused(f"{verb} {words}")

    def _answer(self, status: int, content: t.Any) -> None:
        text = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def _page(entries: list[Object]) -> Object:
    return {"count": len(entries), "next": None, "previous": None, "results": entries}


class Server(ThreadingHTTPServer):
    """`with Server(awx) as server:` answers at `server.url` until the end."""

    def __init__(self, awx: Awx) -> None:
        super().__init__(("127.0.0.1", 0), type("Handler", (_Handler,), {"awx": awx}))
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_reason: object) -> None:
        self.shutdown()
        self.server_close()
