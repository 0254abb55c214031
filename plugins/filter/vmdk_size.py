# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vmdk_size
short_description: Sizes of disks as numbers and as text
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Makes bytes of a size as the modules of this collection take it, as V(10GiB), or such a text of
    bytes.
  - Every unit is a power of 1024. V(GB), V(G) and V(GiB) are the same, as in VMware's tools.
positional: _input
options:
  _input:
    description: A size with or without a unit, or a number of bytes.
    type: raw
    required: true
  text:
    description:
      - Make text, in the largest unit that says it exactly, instead of a number.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Ten percent more than it has
  vdisk.lifecycle.vmdk_resize:
    path: /srv/vm/web01.vmdk
    size: "{{ (('40GiB' | vdisk.lifecycle.vmdk_size) * 1.1) | int }}"

- name: Say it as people do (prints 1536MiB)
  ansible.builtin.debug:
    msg: "{{ 1610612736 | vdisk.lifecycle.vmdk_size(text=true) }}"
"""

RETURN = r"""
_value:
  description: Bytes, or with O(text) the text.
  type: raw
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import (
    exact_size,
    parse_size,
)


def vmdk_size(value: t.Any, text: bool = False) -> int | str:
    """Raises AnsibleFilterError for what is no size."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise AnsibleFilterError(f"vmdk_size: {value!r} is neither a text nor a whole number")
    try:
        size = parse_size(str(value), "vmdk_size")
    except DiskError as error:
        raise AnsibleFilterError(str(error)) from error
    return exact_size(size) if text else size


class FilterModule:
    """As Ansible looks for it."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"vmdk_size": vmdk_size}
