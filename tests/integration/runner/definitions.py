# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/vars/ says that AWX shall have, as plain data."""

from __future__ import annotations

import typing as t
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[3]


class _Loader(yaml.SafeLoader):
    """Knows Ansible's !unsafe."""


def _unsafe(loader: _Loader, node: yaml.Node) -> t.Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_scalar(t.cast("yaml.ScalarNode", node))


_Loader.add_constructor("!unsafe", _unsafe)


def _load(name: str) -> dict[str, t.Any]:
    text = (PROJECT / "playbooks/vars" / name).read_text(encoding="utf-8")
    content: dict[str, t.Any] = yaml.load(text, _Loader)
    return content


SITE = _load("awx.yml")
TEMPLATES = {
    template["name"].removeprefix("vdisk: "): template
    for template in _load("awx_templates.yml")["awx_templates"]
}
CREDENTIAL_TYPES = {kind["name"]: kind for kind in SITE["awx_credential_types"]}
