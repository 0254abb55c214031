# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The only part of module_utils that knows Ansible: plan, apply, and one exit."""

from __future__ import annotations

import os
import signal
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible.module_utils.errors import AnsibleFallbackNotFound

from ._device.errors import DiskError
from ._device.progress import ProgressFile, Silent
from ._job.access import Access
from ._transport.reference import expand
from ._vmdk.descriptor.types import CREATABLE_TYPES

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ._device.progress import Progress
    from ._job.plan import Plan

ArgumentSpec = dict[str, dict[str, t.Any]]


def _environment(name: str) -> t.Any:
    """AWX sets variables of a credential whose fields were left empty, too: those say nothing."""
    value = env_fallback(name)
    if value == "":
        raise AnsibleFallbackNotFound
    return value


REPOSITORY_SPEC: ArgumentSpec = {
    "repository": {"type": "str"},
    "passphrase": {
        "type": "str",
        "no_log": True,
        "fallback": (_environment, ["VDISK_PASSPHRASE"]),
    },
    "key_file": {
        "type": "path",
        "no_log": False,
        "fallback": (_environment, ["VDISK_KEY_FILE"]),
    },
}
REQUIRED_REPOSITORY_SPEC: ArgumentSpec = {
    **REPOSITORY_SPEC,
    "repository": {"type": "str", "required": True},
}
ALLOW_OUTSIDE_SPEC: ArgumentSpec = {
    "allow_outside": {"type": "list", "elements": "path", "default": []}
}
# Of the modules that make a disk out of another one.
COPY_SPEC: ArgumentSpec = {
    **ALLOW_OUTSIDE_SPEC,
    "dest": {"type": "str", "required": True},
    "disk_type": {"type": "str", "choices": list(CREATABLE_TYPES)},
    "verify": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}
# As in vmware.vmware, letter for letter, so that playbooks mix.
VSPHERE_SPEC: ArgumentSpec = {
    "hostname": {"type": "str", "fallback": (_environment, ["VMWARE_HOST"])},
    "username": {
        "type": "str",
        "aliases": ["admin", "user"],
        "fallback": (_environment, ["VMWARE_USER"]),
    },
    "password": {
        "type": "str",
        "aliases": ["pass", "pwd"],
        "no_log": True,
        "fallback": (_environment, ["VMWARE_PASSWORD"]),
    },
    "port": {"type": "int", "default": 443, "fallback": (_environment, ["VMWARE_PORT"])},
    "validate_certs": {
        "type": "bool",
        "default": True,
        "fallback": (_environment, ["VMWARE_VALIDATE_CERTS"]),
    },
    "proxy_host": {"type": "str", "fallback": (_environment, ["VMWARE_PROXY_HOST"])},
    "proxy_port": {"type": "int", "fallback": (_environment, ["VMWARE_PROXY_PORT"])},
    "proxy_protocol": {
        "type": "str",
        "choices": ["http", "https"],
        "default": "https",
        "aliases": ["protocol"],
        "fallback": (_environment, ["VMWARE_PROXY_PROTOCOL"]),
    },
    "datacenter": {
        "type": "str",
        "aliases": ["datacenter_name"],
        "fallback": (_environment, ["VMWARE_DATACENTER"]),
    },
}
# Names the file that tells how far a long module is. The action plugins set it.
PROGRESS_VARIABLE = "VDISK_PROGRESS_FILE"


class VmdkModule(AnsibleModule):
    """An AnsibleModule that turns a plan into a result."""

    def execute(self, make_plan: Callable[[VmdkModule], Plan]) -> t.NoReturn:
        """Probe and plan, apply unless in check mode, exit. Every DiskError becomes a failure."""
        # A job that Ansible stops must leave through its context managers.
        signal.signal(signal.SIGTERM, _stop)
        try:
            plan = make_plan(self)
            result = plan.run(self.check_mode)
        except DiskError as error:
            self.fail_json(msg=_printable(str(error)), error=error.facts())
        for told in result.pop("warnings", ()):
            self.warn(_printable(told))
        if result["changed"]:
            result["diff"] = plan.diff
        self.exit_json(**result)

    def disk_name(self, option: str) -> t.Any:
        """The disk that an option names, on this host or in vSphere; None where it is not given."""
        text = self.params[option]
        return None if text is None else expand(text)

    @property
    def access(self) -> Access:
        """What opening a disk needs beyond its reference."""
        return Access(
            repository=_lasting(self.params.get("repository")),
            passphrase=self.params.get("passphrase"),
            key_file=_lasting(self.params.get("key_file")),
            allow_outside=tuple(map(os.path.abspath, self.params.get("allow_outside") or ())),
            vsphere={name: self.params[name] for name in VSPHERE_SPEC if name in self.params},
        )

    @property
    def progress(self) -> Progress:
        path = os.environ.get(PROGRESS_VARIABLE)
        return ProgressFile(path) if path else Silent()


def _lasting(place: str | None) -> str | None:
    """A path that also means the same to a process with another working directory."""
    return place if place is None or "://" in place else os.path.abspath(place)


def _printable(text: str) -> str:
    """Names are those of strangers: what would move the cursor of a terminal is written out."""
    return "".join(
        each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text
    )


def _stop(number: int, _frame: object) -> t.NoReturn:
    raise SystemExit(128 + number)
