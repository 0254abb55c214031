# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows over the machines of a simulated vCenter: off, templates and running, in batches.

The guest of a machine that runs is a host of its own name whose tasks write through the simulator's
control address. What is on disks is read as the guest would, behind the collection's back.
"""

from __future__ import annotations

import types

import pytest
import yaml

from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import Modules
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.attaching import Lab
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.restored import Room
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

pytestmark = pytest.mark.serial
PLACE = 300 << 10
WRITE = {
    "name": "Write as the guest",
    "ansible.builtin.uri": {
        "url": f"{{{{ control }}}}&offset={PLACE}",
        "method": "POST",
        "body": "patched",
        "status_code": [200, 204],
    },
    "when": "control is defined",
}
SETTING = {
    "name": "Write a setting",
    "ansible.builtin.raw": "echo patched > /etc/app",
    "when": "control is not defined",
}
VANISH = [
    {
        "name": "Lose the way to it",
        "ansible.builtin.set_fact": {"ansible_connection": "ssh", "ansible_port": 1},
        "when": "inventory_hostname == 'd-vanishes'",
    },
    {"name": "Go on", "ansible.builtin.raw": "true", "when": "control is defined"},
]


class Site:
    """Machines, and what their guests have on their disks."""

    def __init__(self, room):
        self._room = room
        self.repository = room.url

    def run(self, *names):
        """Machines that are on."""
        for name in names:
            self._room.machine(sizes=(1,), name=name)
            self._room.vcenter.guest_write(name, self._key(name), PLACE, b"before!")
            self._room.lab.wait(self._room.vm(name).PowerOnVM_Task())

    def off(self, name, *contents):
        """A machine that is off, with these disks."""
        self._room.machine(sizes=(16,) * len(contents), name=name)
        for disk, content in zip(self._room.disks(name), contents, strict=True):
            self._room.vcenter.guest_write(name, disk.key, 0, content)
        return self._room.vm(name)

    def keep_one_of_an_earlier_window(self, name):
        self._room.lab.modules.vmdk_snapshot(
            vm=name, name="patch-window", quiesce="crash_consistent"
        )

    def said(self, name):
        return bytes(self._room.vcenter.guest_read(name, self._key(name), PLACE, 7))

    def guest(self, name):
        """Its host variables."""
        control = self._room.vcenter.control_url
        words = f"{control}/guest/write?vm={name}&disk={self._key(name)}"
        return {"ansible_connection": "local", "control": words}

    def _key(self, name):
        return self._room.disks(name)[0].key

    def image(self, name, folder, number=0):
        path = folder / f"{name}.read"
        path.write_bytes(self.contents(name)[number])
        return path

    def contents(self, name):
        return self._room.content(name)

    def content(self, name):
        return self.contents(name)[0]

    def is_on(self, name):
        return self._room.vm(name).runtime.powerState == "poweredOn"

    def snapshots(self, name):
        found = self._room.vm(name).snapshot
        return [node.name for node in found.rootSnapshotList] if found else []

    def is_template(self, name):
        return self._room.vm(name).config.template


@pytest.fixture(scope="module")
def site(tmp_path_factory, zygote):
    needed()
    with (
        simulator() as vcenter,
        vcenter.connect() as client,
        pytest.MonkeyPatch.context() as patched,
    ):
        for name, value in vcenter.environment().items():
            patched.setenv(name, value)
        folder = tmp_path_factory.mktemp("site")
        patched.setenv("VDISK_STATE_DIR", str(folder / "jobs"))
        lab = Lab(vcenter, client, Modules(zygote))
        yield Site(Room(vcenter, lab, folder))


@pytest.fixture(scope="module")
def patch(window, site, tasks):
    """A window over machines by their names; the guests of those that run are hosts."""

    def run(names, *arguments, entries=(WRITE, SETTING), away=(), **variables):
        inventory = window.folder / "inventory.yml"
        hosts = {name: site.guest(name) for name in names if site.is_on(name)}
        for name in away:
            hosts[name] = {"ansible_host": "127.0.0.1", "ansible_port": 1}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        settings = {"gather_facts": False, "safe_mode": "false", "quiesce": "crash_consistent"}
        settings |= {"quiesce_least": "crash_consistent", "work": str(window.folder / "work")}
        settings |= {"tasks": [tasks(*entries)], "vms": ", ".join(names), **variables}
        results, printed = window.run("-i", inventory, *arguments, **settings)
        return types.SimpleNamespace(
            of={result["name"]: result for result in results}, printed=printed
        )

    return run


@pytest.mark.one_a_build
def test_batches_over_all_kinds(site, patch, small_guest, content, folder):
    image = small_guest("system", megabytes=16)
    site.run("a-canary", "d-vanishes", "e-good", "f-later")
    site.off("b-template", image.read_bytes()).MarkAsTemplate()
    names = ["a-canary", "b-template", "d-vanishes", "e-good", "f-later"]

    done = patch(
        names,
        entries=(WRITE, SETTING, *VANISH),
        repository=site.repository,
        canary="a-canary",
        batch="1, 2",
        max_failures="40%",
        code=4,
    )

    states = {name: (result["batch"], result["state"]) for name, result in done.of.items()}
    assert states == {
        "a-canary": (1, "patched"),
        "b-template": (2, "patched"),
        "d-vanishes": (3, "failed"),
        "e-good": (3, "rolled_back"),
        "f-later": (4, "not_tried"),
    }
    assert "could not be reached any more, and was rolled back" in done.of["d-vanishes"]["reason"]
    assert "1 of 2 machines of batch 3 failed: d-vanishes" in done.of["f-later"]["reason"]
    assert done.of["b-template"]["changes"]["files"]["added"] == ["/etc/app"]
    assert site.said("a-canary") == b"patched"
    for name in ("d-vanishes", "e-good", "f-later"):
        assert (site.said(name), site.is_on(name)) == (b"before!", True)
    assert content(site.image("b-template", folder), "/etc/app") == "patched\n"
    assert site.is_template("b-template")
    assert [each for name in names for each in site.snapshots(name)] == []


@pytest.mark.one_a_build
def test_what_waits_for_the_end_is_rolled_back_with_the_rest(site, patch, tasks):
    """One of an earlier window is left alone; the health of all is bad after the second batch."""
    site.run("g-old", "g-one", "h-two")
    site.keep_one_of_an_earlier_window("g-old")
    healthy = {
        "name": "All is well",
        "ansible.builtin.assert": {"that": "patch_window_number == 0"},
    }

    done = patch(
        ["g-old", "g-one", "h-two"],
        batch="2,1",
        rollback="all",
        health=tasks(healthy, name="health.yml"),
        code=2,
    )

    states = [done.of[name]["state"] for name in ("g-old", "g-one", "h-two")]
    assert states == ["failed", "rolled_back", "rolled_back"]
    assert "after batch 2: All is well" in done.of["g-one"]["reason"]
    assert "is one of an earlier window" in done.of["g-old"]["reason"]
    assert {site.said(name) for name in done.of} == {b"before!"}
    assert site.snapshots("g-old") == ["patch-window"]
    assert site.snapshots("g-one") == site.snapshots("h-two") == []


@pytest.mark.one_a_build
def test_only_what_failed_goes_back_and_all_disks_of_a_machine_are_written(
    site, patch, small_guest, content, folder
):
    """With `rollback: failed`; an address that does not answer stops the window all the same."""
    image = small_guest("many", megabytes=16)
    site.run("n-bad", "o-good")
    site.off("m-many", b"first disk", image.read_bytes(), b"third disk")
    stumble = {
        "name": "Stumble",
        "ansible.builtin.fail": {"msg": "stumbled"},
        "when": "inventory_hostname == 'n-bad'",
    }

    done = patch(
        ["m-many", "n-bad", "o-good"],
        entries=(WRITE, SETTING, stumble),
        repository=site.repository,
        rollback="failed",
        max_failures="100%",
        health_urls="http://127.0.0.1:1/shop",
        code=2,
    )

    states = {name: result["state"] for name, result in done.of.items()}
    assert states == {"m-many": "patched", "n-bad": "failed", "o-good": "patched"}
    assert "Ask whether services answer: http://127.0.0.1:1/shop: " in done.printed
    assert (site.said("n-bad"), site.said("o-good")) == (b"before!", b"patched")
    assert site.snapshots("n-bad") == site.snapshots("o-good") == []
    first, _second, third = site.contents("m-many")
    assert (first[:10], third[:10]) == (b"first disk", b"third disk")
    assert content(site.image("m-many", folder, number=1), "/etc/app") == "patched\n"


@pytest.mark.one_a_build
def test_a_machine_that_somebody_uses_meanwhile_is_left_as_it_is(site, patch, small_guest):
    image = small_guest("used", megabytes=16)
    for name in ("k-used", "l-quiet"):
        site.off(name, image.read_bytes())
    place = (16 << 20) - 4096
    use = {
        "name": "Somebody uses it",
        "ansible.builtin.uri": {
            "url": f"{site.guest('k-used')['control']}&offset={place}",
            "method": "POST",
            "body": "in use!",
            "status_code": [200, 204],
        },
        "when": "inventory_hostname == 'k-used'",
        "delegate_to": "localhost",
    }

    done = patch(
        ["k-used", "l-quiet"],
        entries=(SETTING, use),
        repository=site.repository,
        max_failures="100%",
        code=2,
    )

    assert [done.of[name]["state"] for name in ("k-used", "l-quiet")] == ["failed", "patched"]
    assert "used or changed while its copy was patched" in done.of["k-used"]["reason"]
    expected = bytearray(image.read_bytes())
    expected[place : place + 7] = b"in use!"
    assert site.content("k-used") == expected
    assert site.content("l-quiet") != image.read_bytes()


@pytest.mark.one_a_build
def test_safe_mode_does_not_touch_what_runs(site, patch):
    names = ["j-safe", "j-away", "j-left-out"]
    site.run(*names)
    done = patch(names, safe_mode="true", exclude="nobody, j-left.*", away=["j-away"], code=4)
    states = {name: result["state"] for name, result in done.of.items()}
    assert states == {"j-away": "failed", "j-safe": "not_tried"}
    assert "could not be reached any more, and was not touched" in done.of["j-away"]["reason"]
    assert "safe mode" in done.of["j-safe"]["reason"]
    assert (site.said("j-safe"), site.snapshots("j-safe")) == (b"before!", [])
