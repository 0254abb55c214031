#!/usr/bin/python
# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vmdk_scan
short_description: Look for viruses, secrets and packages inside a disk
version_added: 0.1.0
author:
  - The vdisk.lifecycle authors (@vdisk-lifecycle)
description:
  - Looks for viruses with ClamAV in the files of a disk that M(vdisk.lifecycle.vmdk_mount) has
    mounted, inside archives too, and in what was deleted from a disk. Nothing of the guest is run,
    so nothing in it can hide.
  - Looks for secrets in files, such as private keys, keys of clouds, tokens and passwords. Says
    where they are, never what they are.
  - Lists what is installed as a CycloneDX document.
  - Writes not one byte to the disk, unless O(quarantine) is set.
  - What could not be looked at, for whatever reason, is in RV(scan.skipped). Only a scan without
    any is a clean one.
requirements:
  - C(clamd) (package C(clamav-daemon)) with its signatures on the host that runs the module. It is
    started for the scan, as the user C(clamav), and ends with it; no service of it has to run.
extends_documentation_fragment:
  - vdisk.lifecycle.attributes
  - vdisk.lifecycle.attributes.progress
  - vdisk.lifecycle.options.repository
  - vdisk.lifecycle.options.repository_secrets
  - vdisk.lifecycle.options.allow_outside
options:
  mount_point:
    description:
      - Look at the files of what M(vdisk.lifecycle.vmdk_mount) has mounted here. A folder where
        nothing is mounted is refused, for it would look clean.
      - Either this or O(path) is needed, or both.
    type: path
  path:
    description:
      - Look at what was deleted from this disk, a disk reference. It need not be mounted, and must
        not be mounted for writing.
      - Looked at is the space that ext2, ext3, ext4, XFS, FAT, exFAT and NTFS do not use, what lies
        between volumes, and all of any other volume. What is found there has
        RV(scan.infected[].where=deleted), or V(raw) where it may belong to a file that is still
        there.
    type: str
  volume:
    description:
      - Only this volume of O(path), by its number, label, uuid or name.
    type: str
  antivirus:
    description:
      - Look for viruses.
    type: bool
    default: true
  secrets:
    description:
      - Look for secrets in the files of text below O(mount_point), up to 64 MiB of each.
    type: bool
    default: true
  sbom:
    description:
      - List the packages of the system at O(mount_point), in RV(sbom).
    type: bool
    default: false
  database:
    description:
      - Folder of ClamAV's signatures. The user C(clamav) must be able to read it.
    type: path
    default: /var/lib/clamav
  max_file_size:
    description:
      - Files larger than this are skipped by the virus scanner, and reported. So is what is in an
        archive beyond four times this size. At most V(2GiB) less one byte, which is ClamAV's limit.
    type: str
    default: 100MiB
  time_limit:
    description:
      - Seconds after which the scan ends, and reports where.
    type: int
    default: 3600
  allow:
    description:
      - Secrets that are meant to be there. A pattern of a path, as in V(/usr/share/doc/*), or
        RV(scan.secrets[].sha256) of a secret.
    type: list
    elements: str
    default: []
  fail_on:
    description:
      - Fail if there is anything of these. The whole result is there all the same.
    type: list
    elements: str
    choices:
      - infected
      - secrets
      - skipped
    default: []
  quarantine:
    description:
      - Move infected files below O(mount_point) to this folder of the host. Each becomes a file of
        mode V(0000) with a JSON file beside it that tells where it was, and how it looked. On the
        disk it is overwritten with zeros and removed.
      - It is made with mode V(0700) if it is missing. One that others may write to is refused.
      - Wants the disk to be mounted with O(vdisk.lifecycle.vmdk_mount#module:read_only=false), best
        in a transaction. An archive is moved as a whole.
    type: path
seealso:
  - module: vdisk.lifecycle.vmdk_mount
  - ref: ansible_collections.vdisk.lifecycle.scan_disk_role
    description: The role that mounts, scans, and cleans in a transaction.
"""

EXAMPLES = r"""
- name: Look into a disk
  vdisk.lifecycle.vmdk_mount:
    path: /srv/vm/web01.vmdk
    mount_point: /mnt/web01

- name: Are there keys or passwords in it?
  vdisk.lifecycle.vmdk_scan:
    mount_point: /mnt/web01
    antivirus: false
  register: found

- name: Look for viruses in its files, and in what was deleted
  vdisk.lifecycle.vmdk_scan:
    mount_point: /mnt/web01
    path: /srv/vm/web01.vmdk
    database: /srv/clamav
    fail_on: [infected, skipped]

- name: What is installed?
  vdisk.lifecycle.vmdk_scan:
    mount_point: /mnt/web01
    antivirus: false
    secrets: false
    sbom: true
  register: inventory

- name: Keep that for who asks
  ansible.builtin.copy:
    content: "{{ inventory.sbom | to_nice_json }}"
    dest: /srv/web01.cdx.json
    mode: "0644"

- name: Done with it
  vdisk.lifecycle.vmdk_mount:
    mount_point: /mnt/web01
    state: unmounted
"""

RETURN = r"""
scan:
  description: What was found. Each list has 10000 entries at most; how many more there were is the
    last of RV(scan.skipped) then.
  returned: success
  type: dict
  contains:
    infected:
      description: Files, or places of the disk, that hold what a signature describes.
      type: list
      elements: dict
      contains:
        path:
          description: The file, from the root of the mount; the disk where it was deleted.
          type: str
          sample: /home/web/upload.zip
        path_base64:
          description: The bytes of the path, if they are no text in UTF-8.
          type: str
          returned: when needed
          sample: L2hvbWUv/w==
        signature:
          description: What ClamAV calls it.
          type: str
          sample: Eicar-Test
        where:
          description: V(file), V(archive), V(deleted), or V(raw) for a place of which nobody knows
            whether it is used.
          type: str
          sample: archive
        volume:
          description: The volume, or V(unpartitioned), where it is not a file.
          type: str
          returned: when it is not a file
          sample: "1"
        offset:
          description: Byte of the disk where the piece begins in which it was found; V(null) if the
            volume does not lie on the disk as it is.
          type: int
          returned: when it is not a file
          sample: 34603008
        volume_offset:
          description: The same, from the beginning of the volume.
          type: int
          returned: when it is not a file
          sample: 33554432
        length:
          description: Bytes of that piece.
          type: int
          returned: when it is not a file
          sample: 68
    secrets:
      description: Where secrets are.
      type: list
      elements: dict
      contains:
        path:
          description: The file; C(path_base64) is beside it as in RV(scan.infected).
          type: str
          sample: /home/web/.ssh/id_ed25519
        line:
          description: The line that it begins in.
          type: int
          sample: 1
        kind:
          description: What it is.
          type: str
          sample: private-key
        severity:
          description:
            - V(critical) for private keys that everybody may read and for empty passwords, V(low)
              for keys that a passphrase protects, else V(high).
          type: str
          sample: critical
        world_readable:
          description: Whether everybody in the guest may read the file.
          type: bool
          sample: true
        sha256:
          description: The first eight digits of the digest of the secret, to compare; V(null) for
            an empty password.
          type: str
          sample: 5b2c9ea1
    skipped:
      description: What was not looked at, or not whole, and why.
      type: list
      elements: dict
      sample: [{path: /var/lib/db.img, reason: "8589934592 bytes: larger than max_file_size"}]
    timed_out:
      description: Whether O(time_limit) ended the scan. Where is in RV(scan.skipped).
      type: bool
      sample: false
    scanned:
      description: How many files, and how many bytes of files and of free space.
      type: dict
      sample: {files: 1371, bytes: 92274688}
    engine:
      description: The virus scanner, and how old its signatures are, where they say so.
      type: dict
      sample: {name: ClamAV 1.4.3, database: /var/lib/clamav, signatures: "27800",
        signatures_date: Sun Nov 22 10:00:00 2026}
    seconds:
      description: How long it took.
      type: float
      sample: 12.5
sbom:
  description: The packages as a CycloneDX 1.6 document. The same packages give the same document.
  returned: when O(sbom=true) and O(mount_point) is set
  type: dict
  sample:
    bomFormat: CycloneDX
    specVersion: "1.6"
    components:
      - {type: library, name: apt, version: 2.6.1, purl: "pkg:deb/debian/apt@2.6.1?arch=amd64"}
quarantined:
  description: The files that were moved; none in check mode.
  returned: when O(quarantine) is set
  type: list
  elements: dict
  sample:
    - {path: /home/web/upload.zip, signature: Eicar-Test,
       quarantined: /srv/quarantine/3f1c1f3a8e0b9a11-1795449600.quarantined}
"""

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.units import parse_size
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.plan import Plan
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.scan_disk import (
    DATABASE,
    ScanRequest,
    plan_scan,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._module import (
    ALLOW_OUTSIDE_SPEC,
    REPOSITORY_SPEC,
    VmdkModule,
)


def make_plan(module: VmdkModule) -> Plan:
    """Read the options; the job decides."""
    params = module.params
    return plan_scan(
        ScanRequest(
            access=module.access,
            mount_point=params["mount_point"],
            path=params["path"],
            volume=params["volume"],
            antivirus=params["antivirus"],
            secrets=params["secrets"],
            sbom=params["sbom"],
            database=params["database"],
            max_file_size=parse_size(params["max_file_size"], "max_file_size"),
            time_limit=params["time_limit"],
            allow=params["allow"],
            fail_on=params["fail_on"],
            quarantine=params["quarantine"],
            progress=module.progress,
        )
    )


def main() -> None:
    """Entry point."""
    module = VmdkModule(
        argument_spec={
            **REPOSITORY_SPEC,
            **ALLOW_OUTSIDE_SPEC,
            "mount_point": {"type": "path"},
            "path": {"type": "str"},
            "volume": {"type": "str"},
            "antivirus": {"type": "bool", "default": True},
            "secrets": {"type": "bool", "default": True},
            "sbom": {"type": "bool", "default": False},
            "database": {"type": "path", "default": DATABASE},
            "max_file_size": {"type": "str", "default": "100MiB"},
            "time_limit": {"type": "int", "default": 3600},
            "allow": {"type": "list", "elements": "str", "default": []},
            "fail_on": {
                "type": "list",
                "elements": "str",
                "choices": ["infected", "secrets", "skipped"],
                "default": [],
            },
            "quarantine": {"type": "path"},
        },
        required_one_of=[("mount_point", "path")],
        required_by={
            "quarantine": ["mount_point"],
            "volume": ["path"],
        },
        supports_check_mode=True,
    )
    module.execute(make_plan)


if __name__ == "__main__":
    main()
