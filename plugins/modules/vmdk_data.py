#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_data
short_description: Read or write bytes and metadata of a disk
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Reads bytes from anywhere in a disk, or makes sure that certain bytes are there. Only what
    differs is written.
  - Reads, sets and removes entries of the data base that a VMDK carries (its C(ddb.) lines).
  - Any disk can be read, restore points included. A hosted VMDK, a raw file or a block device can
    be written, unless it is V(streamOptimized) or the parent of another disk.
  - The bytes of a managed disk (V([datastore1] web01/web01.vmdk)) can be read while no virtual
    machine that runs has it; of its data base, the uuid can be set while none has it attached. A
    disk that was V(eagerZeroedThick) counts as V(thick) from then on, which a warning says.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
  - vdisk.lifecycle.vsphere
options:
  path:
    description:
      - The disk, as a disk reference. See M(vdisk.lifecycle.vmdk_info).
    type: str
    required: true
  offset:
    description:
      - Where to read or write, such as V(1MiB) or a number of bytes. Need not be a multiple of a
        sector.
    type: str
    default: '0'
  length:
    description:
      - How much to read, such as V(512), V(64KiB). Without O(dest), 1 MiB at most.
      - With O(dest) and no length, everything from O(offset) on is read.
      - With O(content), O(content_base64) or O(src), how much of it to write.
    type: str
  content:
    description:
      - Text that shall be at O(offset), in UTF-8.
    type: str
  content_base64:
    description:
      - Bytes that shall be at O(offset), in base64.
    type: str
  src:
    description:
      - A file on the host whose content shall be at O(offset).
    type: path
  dest:
    description:
      - A file on the host for what is read. A file of that name is replaced, unless it has that
        content already. It becomes a plain file, so the name must not end in C(.vmdk), and it
        cannot be a file of the disk itself.
    type: path
  metadata:
    description:
      - Entries that the data base shall have, named without their prefix C(ddb.).
      - Entries that are not named here are left as they are.
    type: dict
    default: {}
  remove_metadata:
    description:
      - Entries that the data base shall not have.
    type: list
    elements: str
    default: []
  uuid:
    description:
      - The uuid that the disk shall have. 32 hexadecimal digits, with blanks or hyphens anywhere.
    type: str
  adapter_type:
    description:
      - The controller that the disk shall be meant for.
    type: str
    choices:
      - ide
      - buslogic
      - lsilogic
      - legacyESX
notes:
  - What is read is part of the result, and so of logs. Do not read secrets.
seealso:
  - module: vdisk.lifecycle.vmdk_info
  - module: vdisk.lifecycle.vmdk_mount
"""

EXAMPLES = r"""
- name: The boot sector
  vdisk.lifecycle.vmdk_data:
    path: /srv/vm/web01.vmdk
    length: 512
  register: boot

- name: Keep a copy of the first megabyte, partition table and boot loader
  vdisk.lifecycle.vmdk_data:
    path: /srv/vm/web01.vmdk
    length: 1MiB
    dest: /srv/vm/web01.boot

- name: Put it back
  vdisk.lifecycle.vmdk_data:
    path: /srv/vm/web01.vmdk
    src: /srv/vm/web01.boot

- name: A signature in the fourth sector
  vdisk.lifecycle.vmdk_data:
    path: /srv/vm/web01.vmdk
    offset: 1536
    content: golden image 7

# The environment says which vCenter: VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD.
- name: Another uuid for a managed disk
  vdisk.lifecycle.vmdk_data:
    path: "[datastore1] archive/golden.vmdk"
    uuid: 6000C29b-0d3e-63a1-9c4c-1e7a1a4bac82

- name: Entries of the data base
  vdisk.lifecycle.vmdk_data:
    path: /srv/vm/web01.vmdk
    metadata:
      comment: built by Ansible
    remove_metadata:
      - toolsInstallType
    uuid: 6000C29a-4c1d-52f0-8f3b-0d6f0f3a9b71
"""

RETURN = r"""
content:
  description: What was read, if it is text in UTF-8, else nothing.
  returned: when O(length) was read without O(dest)
  type: str
  sample: golden image 7
content_base64:
  description: What was read, in base64.
  returned: when O(length) was read without O(dest)
  type: str
  sample: Z29sZGVuIGltYWdlIDc=
dest:
  description: The file that holds what was read.
  returned: when O(dest) is given
  type: str
  sample: /srv/vm/web01.boot
bytes_written:
  description: Bytes that were written to the disk. Runs of 64 KiB that are as they shall be are not
    written.
  returned: outside check mode
  type: int
  sample: 14
disk:
  description: The disk, as M(vdisk.lifecycle.vmdk_info) describes it, with the whole data base as
    C(metadata). In check mode, as far as it is known before the change; C(first_difference) is then
    the first byte that would be written.
  returned: success
  type: dict
  sample:
    path: /srv/vm/web01.vmdk
    disk_type: monolithicSparse
    size: 10737418240
    metadata:
      adapterType: lsilogic
      comment: built by Ansible
"""

import base64
import binascii

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_size
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.edit_disk import plan_edit
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import EditRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REPOSITORY_SPEC,
    VSPHERE_SPEC,
    VmdkModule,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    ADAPTER_TYPES,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    metadata = {key: str(value) for key, value in params["metadata"].items()}
    if params["adapter_type"] is not None:
        metadata["adapterType"] = params["adapter_type"]
    request = EditRequest(
        path=params["path"],
        offset=parse_size(params["offset"], "offset"),
        length=None if params["length"] is None else parse_size(params["length"], "length"),
        content=content_of(module),
        src=params["src"],
        dest=params["dest"],
        metadata=metadata,
        remove_metadata=params["remove_metadata"],
        uuid=params["uuid"],
        access=module.access,
        progress=module.progress,
    )
    return plan_edit(request)


def content_of(module: VmdkModule) -> bytes | None:
    """The bytes to write that are options themselves. Raises InvalidRequest."""
    text, encoded = module.params["content"], module.params["content_base64"]
    if encoded is None:
        return None if text is None else text.encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise InvalidRequest(f"content_base64 is not base64: {error}") from None


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            **ALLOW_OUTSIDE_SPEC,
            **VSPHERE_SPEC,
            "path": {"type": "str", "required": True},
            "offset": {"type": "str", "default": "0"},
            "length": {"type": "str"},
            "content": {"type": "str"},
            "content_base64": {"type": "str"},
            "src": {"type": "path"},
            "dest": {"type": "path"},
            "metadata": {"type": "dict", "default": {}},
            "remove_metadata": {"type": "list", "elements": "str", "default": []},
            "uuid": {"type": "str"},
            "adapter_type": {"type": "str", "choices": list(ADAPTER_TYPES)},
        },
        mutually_exclusive=[("content", "content_base64", "src", "dest")],
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
