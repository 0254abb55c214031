# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What windows do to small guests, and what they do not. Windows take long, so tests share them."""

from __future__ import annotations

import json
import types

import pytest
import yaml

pytestmark = pytest.mark.serial
WRITE = {
    "name": "Write a file unless it is there",
    "ansible.builtin.raw": "[ -e /etc/app ] || { echo patched > /etc/app; echo new; }",
    "register": "written",
    "changed_when": "'new' in written.stdout",
}
# What is done to the disk of that name besides.
BESIDES = {
    "good": "[ -e '/my disk' ] || { mkdir '/my disk'; "
    "echo '/dev/vdb /my\\040disk ext4 nofail 0 2' >> /etc/fstab; }",
    "stumbles": "false",
    "broken": "echo '/dev/vdb /data ext4 nofail 0 2' >> /etc/fstab; "
    "mkdir /boot; echo x > /boot/vmlinuz-9",
}


def only_on(name, command):
    words = {"name": command, "ansible.builtin.raw": command}
    return {**words, "when": f"inventory_hostname == '{name}'", "changed_when": False}


@pytest.fixture(scope="module")
def patch(window, tasks):
    """A window for guests without Python."""
    entries = [WRITE, *(only_on(name, command) for name, command in BESIDES.items())]

    def run(disks, *arguments, **variables):
        listed = [{"path": str(path), "name": name} for name, path in disks.items()]
        settings = {"gather_facts": False, "safe_mode": False, "tasks": [tasks(*entries)]}
        results, printed = window.run(*arguments, disks=listed, **{**settings, **variables})
        return {result["name"]: result for result in results}, printed

    return run


@pytest.fixture(scope="module")
def patched(patch, small_guest, window, tasks, sha256):
    """After one window over several disks: one is patched, each of the others has its trouble."""
    names = ("good", "broken", "checked", "foreign")
    disks = {name: small_guest(name) for name in names}
    before = {name: sha256(path) for name, path in disks.items()}
    window.mount(path=str(disks["foreign"]), transaction=True)
    (window.folder / "own/etc/mine").write_text("precious\n")
    window.mount(state="unmounted")
    checks = [tasks(only_on("checked", "[ ! -e /etc/app ]"), name="check.yml")]
    results, printed = patch(disks, checks=checks, max_failures="100%", ignore_failures="true")
    return types.SimpleNamespace(disks=disks, before=before, results=results, printed=printed)


def changed(printed, name):
    """Tasks of a host that changed something."""
    (line,) = (line for line in printed.splitlines() if line.split()[:2] == [name, ":"])
    return int(line.partition("changed=")[2].split()[0])


def test_what_was_written_is_in_the_disk_and_told(patched, content):
    result = patched.results["good"]
    assert (result["state"], result["reason"]) == ("patched", "")
    assert content(patched.disks["good"], "/etc/app") == "patched\n"
    assert result["changes"]["files"]["added"] == ["/etc/app", "/my disk"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", "/etc/fstab wants /data, and it is not there\nkernel 9 has no modules"),
        ("checked", "[ ! -e /etc/app ]: "),
    ],
)
def test_a_disk_that_fails_is_as_before(patched, sha256, name, told):
    result = patched.results[name]
    assert result["state"] == "failed"
    assert told in result["reason"]
    assert sha256(patched.disks[name]) == patched.before[name]


def test_the_transaction_of_somebody_else_is_left_alone(patched, window, content):
    assert "patch_window did not begin" in patched.results["foreign"]["reason"]
    disk = patched.disks["foreign"]
    window.mount(path=str(disk), state="committed")
    assert content(disk, "/etc/mine") == "precious\n"


def test_the_second_window_changes_nothing_and_stops_where_a_batch_fails(
    patched, patch, small_guest, content, sha256
):
    """With texts as a survey has them. What failed is not tried again by those that follow."""
    disks = {"good": patched.disks["good"]}
    disks |= {name: small_guest(name) for name in ("beside", "stumbles", "later")}
    before = {name: sha256(path) for name, path in disks.items()}
    batches = {"canary": "good", "batch": "2, 1", "max_failures": "0", "safe_mode": "false"}

    results, printed = patch(disks, **batches, code=2)

    told = {name: (result["batch"], result["state"]) for name, result in results.items()}
    assert told == {
        "good": (1, "unchanged"),
        "beside": (2, "rolled_back"),
        "stumbles": (2, "failed"),
        "later": (3, "not_tried"),
    }
    assert changed(printed, "good") == 0
    assert results["stumbles"]["reason"].startswith("false: ")
    assert "stumbles: false: " in printed
    assert "1 of 2 machines of batch 2 failed: stumbles" in results["later"]["reason"]
    assert {name: sha256(path) for name, path in disks.items()} == before


def test_what_is_not_its_own_or_cannot_be_committed_is_not_kept(
    patch, small_guest, tasks, window, content, sha256
):
    """While the batch is judged, another window begins anew in one disk, and one is touched."""
    disks = {name: small_guest(name) for name in ("taken", "touched")}
    before = {name: sha256(path) for name, path in disks.items()}
    words = {
        "path": str(disks["taken"]),
        "mount_point": "{{ hostvars['taken'].ansible_host }}",
    }
    again = {"read_only": False, "transaction": True}
    meanwhile = tasks(
        {"vdisk.lifecycle.vmdk_mount": {**words, "state": "discarded"}},
        {
            "vdisk.lifecycle.vmdk_mount": {
                **words,
                **again,
                "overlay": f"{disks['taken']}.patch-window-later",
            }
        },
        {"ansible.builtin.file": {"path": str(disks["touched"]), "state": "touch"}},
        name="meanwhile.yml",
    )

    results, _printed = patch(disks, health=meanwhile, max_failures="100%", code=2)

    assert [results[name]["state"] for name in disks] == ["failed", "failed"]
    assert "another window works on it" in results["taken"]["reason"]
    assert "was changed under its pending transaction" in results["touched"]["reason"]
    left = {each.name for each in window.folder.glob("*.vdisk-transaction")}
    assert left == {"taken.img.vdisk-transaction"}
    window.discard(disks["taken"])
    assert {name: sha256(path) for name, path in disks.items()} == before


REFUSED = {
    "does not know clusters": {"select": {"clusters": ["one"], "tags": "patch"}},
    "it would select all": {"select": "{cluster: []}"},
    "No machine fits": {"disks": []},
    "names a disk, or an overlay, more than once: /srv/a, /srv/a": {
        "disks": [{"path": "/srv/a"}, {"path": "/srv/a", "name": "b"}]
    },
    "names a disk, or an overlay, more than once: /srv/a, /srv/b, /srv/o, /srv/o": {
        "disks": [{"path": name, "overlay": "/srv/o"} for name in ("/srv/a", "/srv/b")]
    },
    "not among the machines: 50%": {"disks": [{"path": "/srv/a"}], "canary": "/srv/a, 50%"},
    "patch_window_batch is a list": {"disks": [{"path": "/srv/a"}], "batch": "0"},
}


def test_what_would_mean_other_machines_than_were_meant_is_refused(window, folder):
    """Before anything begins. All of it in one play, as a playbook takes so long to start."""
    tell = {"dest": str(folder / "refused"), "mode": "0600"}
    said = "{{ (refused | default([])) + [ansible_failed_result.msg] }}"
    steps = [
        {
            "block": [
                {
                    "ansible.builtin.include_role": {
                        "name": "vdisk.lifecycle.patch_window",
                        "tasks_from": "hosts",
                    },
                    "vars": {f"patch_window_{name}": value for name, value in words.items()},
                }
            ],
            "rescue": [{"ansible.builtin.set_fact": {"refused": said}}],
        }
        for words in REFUSED.values()
    ]
    write = {"ansible.builtin.copy": {**tell, "content": "{{ refused | to_json }}"}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [*steps, write]}
    (folder / "refused.yml").write_text(yaml.safe_dump([play]))

    printed = window.play(folder / "refused.yml")

    found = json.loads((folder / "refused").read_text())
    assert len(found) == len(REFUSED), printed
    assert [told for told, words in zip(REFUSED, found, strict=True) if told not in words] == []


def test_safe_mode_tells_everything_and_keeps_nothing(patch, small_guest, sha256):
    disk = small_guest("new")
    orphan = disk.with_name("new.img.patch-window-0123abcd.grains")  # killed before it had begun
    orphan.touch()
    before = sha256(disk)
    results, _printed = patch({"new": disk}, safe_mode=True)
    assert not orphan.exists()
    assert (results["new"]["state"], results["new"]["reason"]) == ("rolled_back", "safe mode")
    assert results["new"]["changes"]["files"]["added"] == ["/etc/app"]
    assert sha256(disk) == before


def test_check_mode_keeps_nothing(patch, small_guest, sha256):
    disk = small_guest("new")
    before = sha256(disk)
    results, _printed = patch({"new": disk}, "--check")
    assert (results["new"]["state"], sha256(disk)) == ("checked", before)
