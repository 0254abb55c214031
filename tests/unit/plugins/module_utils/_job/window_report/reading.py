# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages and metrics, read strictly and without help from what wrote them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "col"}


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children, self.texts = [], []

    def all(self, tag=None, **wanted):
        """Below it, by tag and attributes; class_="a" where it is one of the classes."""
        for child in self.children:
            own = dict(child.attributes)
            classes = own.pop("class", "").split()
            if (tag in (None, child.tag)) and all(
                value in classes if key == "class_" else own.get(key) == value
                for key, value in wanted.items()
            ):
                yield child
            yield from child.all(tag, **wanted)

    def one(self, tag=None, **wanted):
        found = list(self.all(tag, **wanted))
        assert len(found) == 1, (tag, wanted, len(found))
        return found[0]

    @property
    def text(self):
        return "".join(each if isinstance(each, str) else each.text for each in self.texts)


class Page(HTMLParser):
    """Every element is closed, in the order in which they were opened."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = self._at = Node("", {}, None)
        self.feed(text)
        self.close()
        assert self._at is self.root, f"<{self._at.tag}> is not closed"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        node = Node(tag, dict(attrs), self._at)
        self._at.children.append(node)
        self._at.texts.append(node)
        if tag not in VOID:
            self._at = node

    def handle_endtag(self, tag):
        assert tag == self._at.tag, f"</{tag}> closes <{self._at.tag}>"
        self._at = self._at.parent

    def handle_data(self, data):
        self._at.texts.append(data)

    def unknown_decl(self, data):
        raise AssertionError(data)

    handle_comment = handle_pi = unknown_decl


_NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(rf'({_NAME})="((?:[^"\\\n]|\\["\\n])*)"')
_SAMPLE = re.compile(rf'({_NAME})(?:\{{((?:{_NAME}="(?:[^"\\\n]|\\["\\n])*",?)*)\}})? (\S+)')
_UNESCAPED = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


def metrics_in(text):
    """{(name, labels): value}. Prometheus' text format 0.0.4, as strictly as its parser."""
    assert text.endswith("\n")
    found, described, typed = {}, set(), set()
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in described
            described.add(name)
        elif line.startswith("# TYPE "):
            _sharp, _type, name, kind = line.split(" ")
            assert kind == "gauge" and name not in typed
            typed.add(name)
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            labels = frozenset(
                (key, re.sub(r'\\[n"\\]', lambda each: _UNESCAPED[each[0]], value))
                for key, value in _LABEL.findall(match[2] or "")
            )
            assert match[1] in described & typed, line
            assert (match[1], labels) not in found, line
            found[match[1], labels] = float(match[3])
    return found
