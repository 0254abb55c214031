# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Which vCenter, and as whom: the options of vmware.vmware, letter for letter."""

    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - Name or address of the vCenter, or of an ESXi host. A URL such as C(https://vcenter/ui) and
        a name with a port (C(vcenter:8443), C([2001:db8::1]:443)) do as well.
      - If not given, the environment variable E(VMWARE_HOST) is used.
    type: str
  username:
    description:
      - Who logs in, such as V(backup@vsphere.local).
      - If not given, the environment variable E(VMWARE_USER) is used.
    type: str
    aliases: [admin, user]
  password:
    description:
      - Password of O(username). It appears in no log and no result.
      - If not given, the environment variable E(VMWARE_PASSWORD) is used.
    type: str
    aliases: [pass, pwd]
  validate_certs:
    description:
      - Whether to make sure, by its certificate, that the vCenter is the right one. With V(false),
        anybody between this host and the vCenter could read the password; better trust its root
        certificate on the host that runs the module.
      - Trusted is what the system trusts, and what is in the file that E(REQUESTS_CA_BUNDLE) or
        E(SSL_CERT_FILE) names.
      - If not given, the environment variable E(VMWARE_VALIDATE_CERTS) is used.
    type: bool
    default: true
  port:
    description:
      - Port of the vCenter.
      - If not given, the environment variable E(VMWARE_PORT) is used.
    type: int
    default: 443
  proxy_host:
    description:
      - Name or address of a proxy through which the vCenter is reached, by C(CONNECT). No other
        setting for proxies is heeded, not even that of the environment.
      - If not given, the environment variable E(VMWARE_PROXY_HOST) is used.
    type: str
  proxy_port:
    description:
      - Port of the proxy; 80 if it is not given anywhere.
      - If not given, the environment variable E(VMWARE_PROXY_PORT) is used.
    type: int
  proxy_protocol:
    description:
      - Accepted so that defaults can be shared with C(vmware.vmware). The proxy itself
        is always asked in plain HTTP to open a tunnel; what goes through the tunnel is encrypted
        between this host and the vCenter.
      - If not given, the environment variable E(VMWARE_PROXY_PROTOCOL) is used.
    type: str
    choices: [http, https]
    default: https
    aliases: [protocol]
  datacenter:
    description:
      - Name or path of a datacenter, to look at this one only. Where the vCenter has several, a
        path such as C([datastore1] web01/web01.vmdk) needs it.
      - If not given, the environment variable E(VMWARE_DATACENTER) is used.
    type: str
    aliases: [datacenter_name]
requirements:
  - pyvmomi >= 8.0.3 (Python library on the host that runs the module) for disks and machines of
    vSphere
"""
