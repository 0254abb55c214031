# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options that several modules share."""

    REPOSITORY = r"""
options:
  repository:
    description:
      - Path or URL of the backup repository, as made with M(vdisk.lifecycle.vmdk_repository).
    type: str
  passphrase:
    description:
      - Passphrase of an encrypted repository.
      - If not given, the environment variable E(VDISK_PASSPHRASE) of the host that runs the module
        is used.
    type: str
"""

    ALLOW_OUTSIDE = r"""
options:
  allow_outside:
    description:
      - Folders outside the disk's own folder from which its extents and parents may be opened as
        well.
      - A disk is data from a guest or a stranger. One that names files elsewhere (C(/etc/shadow),
        C(../other.vmdk), a symbolic link out of its folder) is refused, unless the file lies below
        one of these folders.
    type: list
    elements: path
    default: []
"""
