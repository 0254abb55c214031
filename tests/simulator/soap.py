# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SOAP as vSphere speaks it: a call taken apart, replies and faults put together.

Tags carry no namespaces here: `call.body.findtext("name")`. What is typed has `XSI_TYPE` among its
attributes.
"""

from __future__ import annotations

import dataclasses
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSI_TYPE = "xsi:type"
_NAMESPACES = {"/sdk": "urn:vim25", "/vslm/sdk": "urn:vslm", "/pbm": "urn:pbm"}
_OPEN = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"'
    f' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="{XSI}">'
)
_CLOSE = "</soapenv:Envelope>"


class Xml(str):
    """Markup, not text: it is not escaped again."""


@dataclasses.dataclass
class Call:
    path: str  # /sdk, /vslm/sdk or /pbm
    method: str  # CreateSnapshot_Task
    type: str  # of `this`: VirtualMachine
    id: str  # of `this`: vm-42
    body: Element  # <CreateSnapshot_Task> with its parameters
    session: str  # the key in the cookie, or ""
    raw: bytes
    headers: dict[str, str]

    def text(self, name: str, default: str = "") -> str:
        return self.body.findtext(name, default)

    def reference(self, name: str) -> tuple[str, str] | None:
        """(type, id) of a parameter that names an object."""
        found = self.body.find(name)
        return None if found is None else (found.get("type", ""), found.text or "")


@dataclasses.dataclass
class Reply:
    body: bytes
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


class Fault(Exception):
    """A vSphere fault by its type's name; `detail` is the markup of its properties."""

    def __init__(self, name: str, message: str = "", detail: str = "") -> None:
        super().__init__(message or name)
        self.name, self.message, self.detail = name, message or name, Xml(detail)

    def typed(self, tag_name: str) -> Xml:
        """As the value of a property of type MethodFault."""
        return tag(tag_name, self.detail, xsi=self.name)

    def localized(self, tag_name: str) -> Xml:
        """As a LocalizedMethodFault, the `error` of a task."""
        return tag(
            tag_name,
            self.typed("fault"),
            tag("localizedMessage", self.message),
            xsi="LocalizedMethodFault",
        )


def tag(name: str, *children: Any, xsi: str = "", **attributes: str) -> Xml:
    """`tag("start", 5)`; `tag("val", "x", xsi="xsd:string")`; `tag("obj", "vm-1", type="…")`.

    Children that are None are left out; True and False are written as XML wants them.
    """
    head = name + (f' xsi:type="{xsi}"' if xsi else "")
    head += "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return Xml(f"<{head}>{''.join(_text(child) for child in children)}</{name}>")


def reply(call: Call, *content: Any) -> Reply:
    """The answer to a call: what stands inside <…Response>."""
    return Reply(_envelope(call.path, tag(f"{call.method}Response", *content)))


def returnval(call: Call, *content: Any, **attributes: str) -> Reply:
    return reply(call, tag("returnval", *content, **attributes))


def task_reply(call: Call, task: str) -> Reply:
    return returnval(call, task, type="Task")


def fault_reply(path: str, fault: Fault) -> Reply:
    namespace = _NAMESPACES.get(path, "urn:vim25")
    detail = tag(f"{fault.name}Fault", fault.detail, xsi=fault.name, xmlns=namespace)
    body = (
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode>"
        f"{tag('faultstring', fault.message)}{tag('detail', detail)}</soapenv:Fault>"
    )
    return Reply(f"{_OPEN}<soapenv:Body>{body}</soapenv:Body>{_CLOSE}".encode(), 500)


def request(path: str, method: str, type: str, id: str, *content: Any) -> bytes:
    return _envelope(path, tag(method, tag("_this", id, type=type), *content))


def parse_call(path: str, raw: bytes, headers: dict[str, str]) -> Call:
    """ValueError for what is not a SOAP call."""
    root = _parsed(raw)
    body = root.find("Body")
    if body is None or not len(body):
        raise ValueError("no SOAP call in this request")
    method = body[0]
    this = method.find("_this")
    kind, name = ("", "") if this is None else (this.get("type", ""), this.text or "")
    header = root.findtext("Header/vcSessionCookie") or ""
    session = header.strip('"') or session_cookie(headers.get("cookie", ""))
    return Call(path, method.tag, kind, name, method, session, raw, headers)


def session_cookie(header: str) -> str:
    """The key of the session in a Cookie or Set-Cookie header, or ""."""
    for part in header.replace(",", ";").split(";"):
        name, _other, value = part.strip().partition("=")
        if name == "vmware_soap_session":
            return value.strip('"')
    return ""


def parse_reply(raw: bytes) -> Element:
    """The response's element, or the fault it is, raised."""
    first = _body(raw)[0]
    if first.tag != "Fault":
        return first
    message = first.findtext("faultstring") or ""
    detail = first.find("detail")
    if detail is None or not len(detail):
        raise Fault("SystemError", message)
    name = detail[0].get(XSI_TYPE) or detail[0].tag.removesuffix("Fault")
    raise Fault(name, message, "".join(markup(child) for child in detail[0]))


def markup(element: Element) -> Xml:
    """An element as it came, in the namespace it stands in."""
    attributes = "".join(f" {key}={quoteattr(value)}" for key, value in element.items())
    inside = "".join(markup(child) for child in element) or escape(element.text or "")
    return Xml(f"<{element.tag}{attributes}>{inside}</{element.tag}>")


def _envelope(path: str, content: str) -> bytes:
    name = content[1:].replace(">", " ", 1).split(" ", 1)[0]
    namespace = _NAMESPACES.get(path, "urn:vim25")
    body = content.replace(f"<{name}", f'<{name} xmlns="{namespace}"', 1)
    return f"{_OPEN}<soapenv:Body>{body}</soapenv:Body>{_CLOSE}".encode()


def _body(raw: bytes) -> Element:
    body = _parsed(raw).find("Body")
    if body is None:
        raise ValueError("no SOAP body")
    return body


def _parsed(raw: bytes) -> Element:
    root = ElementTree.fromstring(raw)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        typed = element.attrib.pop(f"{{{XSI}}}type", None)
        if typed is not None:
            prefix, _other, name = typed.rpartition(":")
            element.set(XSI_TYPE, typed if prefix in ("xsd", "") else name)
    return root


def _text(child: Any) -> str:
    if child is None:
        return ""
    if isinstance(child, Xml):
        return child
    return escape(str(child).lower() if isinstance(child, bool) else str(child))
