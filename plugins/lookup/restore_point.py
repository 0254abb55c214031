# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: restore_point
short_description: The newest good restore point of a disk or virtual machine
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Looks into a repository, on the controller, and gives a disk reference that always means the
    same restore point, which C(web01@latest) does not.
  - Restore points that cannot be read are passed over with a warning. Their data is not read; that
    is what M(vdisk.lifecycle.vmdk_verify) does. It fails if there is none, or none that is
    young enough.
requirements:
  - zstandard, blake3 and cryptography (Python libraries on the controller)
options:
  _terms:
    description: Names, or ids, of what was backed up.
    type: list
    elements: str
    required: true
  repository:
    description: Path or URL of the repository.
    type: str
    required: true
    vars:
      - name: vdisk_repository
  passphrase:
    description: The passphrase of an encrypted repository.
    type: str
    env:
      - name: VDISK_PASSPHRASE
    vars:
      - name: vdisk_passphrase
  key_file:
    description: A file on the controller that opens an encrypted repository.
    type: path
    env:
      - name: VDISK_KEY_FILE
    vars:
      - name: vdisk_key_file
  max_age:
    description: The oldest that will do, such as V(90m), V(26h) or V(7d).
    type: str
seealso:
  - module: vdisk.lifecycle.vmdk_backup_info
"""

EXAMPLES = r"""
- name: Work on one restore point, whatever is backed up meanwhile
  ansible.builtin.set_fact:
    point: "{{ lookup('vdisk.lifecycle.restore_point', 'web01', max_age='26h') }}"
  vars:
    vdisk_repository: /srv/backup
    vdisk_passphrase: "{{ vault_backup_passphrase }}"

- name: Which are there for all of them?
  ansible.builtin.debug:
    msg: "{{ query('vdisk.lifecycle.restore_point', 'web01', 'db01', repository='/srv/plain') }}"
"""

RETURN = r"""
_raw:
  description: A reference for each term, in their order.
  type: list
  elements: str
  sample: [web01@20261122T020000Z-3f9a2c1b]
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_age
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import (
    Access,
    lasting_name,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.newest_point import newest_point

display = Display()


class LookupModule(LookupBase):
    """One reference for each name."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        names = ("repository", "passphrase", "key_file")
        access = Access(**{name: self.get_option(name) for name in names})
        age = self.get_option("max_age")
        try:
            limit = None if age is None else parse_age(age, "max_age")
            points = [newest_point(access, term, display.warning, limit) for term in terms]
            return [lasting_name(point) for point in points]
        except DiskError as error:
            raise AnsibleLookupError(str(error)) from error
