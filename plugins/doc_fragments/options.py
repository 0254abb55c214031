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
"""

    REPOSITORY_SECRETS = r"""
options:
  passphrase:
    description:
      - Passphrase of an encrypted repository. Either this or O(key_file) is needed; if both are
        given, either may be the one that opens it.
      - If not given, the environment variable E(VDISK_PASSPHRASE) of the host that runs the module
        is used.
      - A repository that is not encrypted is refused if either is given, because somebody may have
        put it in the place of yours.
    type: str
  key_file:
    description:
      - A file on the host that runs the module whose content opens an encrypted repository instead
        of a passphrase. It holds 32 bytes to 64 KiB of any kind, best random ones, and nobody but
        its owner may have access to it.
      - If not given, the environment variable E(VDISK_KEY_FILE) of the host that runs the module
        is used.
    type: path
requirements:
  - zstandard, blake3 and cryptography (Python libraries on the host that runs the module) for
    backup repositories, and obstore for those in object stores
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
