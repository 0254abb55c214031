# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vmdk_descriptor
short_description: What the text of a VMDK descriptor says
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Reads the text of a descriptor, such as that of a file on another host. No disk is opened. To
    know a disk, use M(vdisk.lifecycle.vmdk_info).
positional: _input
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Read a descriptor where it is
  ansible.builtin.slurp:
    src: /srv/vm/web01.vmdk
  register: file

- name: Which files belong to it?
  ansible.builtin.debug:
    msg: "{{ descriptor.extents | map(attribute='path') }}"
  vars:
    descriptor: "{{ file.content | b64decode | vdisk.lifecycle.vmdk_descriptor }}"
"""

RETURN = r"""
_value:
  description: Its content. What it does not say is V(null).
  type: dict
  contains:
    disk_type:
      description: VMware's createType.
      type: str
      sample: twoGbMaxExtentSparse
    size:
      description: Capacity in bytes.
      type: int
      sample: 10737418240
    cid:
      description: The content id.
      type: str
      sample: fffffffe
    parent_cid:
      description: That of the parent, of a child.
      type: str
      sample: null
    parent_hint:
      description: Where the parent should be, of a child.
      type: str
      sample: null
    extents:
      description: The extents, in their order.
      type: list
      elements: dict
      sample:
        - {kind: SPARSE, access: RW, sectors: 4192256, path: web01-s001.vmdk, offset: null}
    metadata:
      description: The disk data base, keys without C(ddb.).
      type: dict
      sample: {adapterType: lsilogic, virtualHWVersion: "13"}
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.descriptor import (
    Descriptor,
)

_SECTOR = 512


def vmdk_descriptor(text: t.Any) -> dict[str, t.Any]:
    """Raises AnsibleFilterError for what is no descriptor."""
    if not isinstance(text, str):
        raise AnsibleFilterError(f"vmdk_descriptor: {type(text).__name__} is no text")
    try:
        descriptor = Descriptor(text.encode(errors="surrogateescape"))
    except DiskError as error:
        raise AnsibleFilterError(str(error)) from error
    if descriptor.get("createType") is None:
        raise AnsibleFilterError("vmdk_descriptor: this is no descriptor, it has no createType")
    return _as_dict(descriptor)


def _as_dict(descriptor: Descriptor) -> dict[str, t.Any]:
    return {
        "disk_type": descriptor.create_type,
        "size": descriptor.sectors * _SECTOR,
        "cid": _hex(descriptor.cid),
        "parent_cid": _hex(descriptor.parent_cid),
        "parent_hint": descriptor.parent_hint,
        "extents": [
            {
                "kind": extent.kind,
                "access": extent.access,
                "sectors": extent.sectors,
                "path": extent.name,
                "offset": extent.offset,
            }
            for extent in descriptor.extents
        ],
        "metadata": descriptor.metadata(),
    }


def _hex(cid: int | None) -> str | None:
    return None if cid is None else f"{cid:08x}"


class FilterModule:
    """As Ansible looks for it."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"vmdk_descriptor": vmdk_descriptor}
