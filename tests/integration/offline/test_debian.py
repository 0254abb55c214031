# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordinary tasks in a real Debian that is switched off, in a transaction."""

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.vdisk.lifecycle.tests.guests import packages

POSTINST = """#!/bin/sh
deb-systemd-invoke start greeting.service || true
/usr/sbin/invoke-rc.d greeting start || true
/usr/sbin/policy-rc.d greeting start; echo "policy $?" > /etc/greeting.policy
"""
INVENTORY = {
    "all": {
        "hosts": {
            "localhost": {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
            },
            "guest": {
                "ansible_connection": "vdisk.lifecycle.vmdk_root",
                "ansible_host": "{{ mount_point }}",
                "ansible_remote_tmp": "/tmp",
                "ansible_python_interpreter": "auto_silent",
            },
        }
    }
}
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - vdisk.lifecycle.vmdk_mount:
        path: "{{ disk }}"
        mount_point: "{{ mount_point }}"
        layout: guest
        transaction: true

- hosts: guest
  gather_facts: true
  vars:
    ansible_vmdk_shared: ["{{ repo }}"]
  tasks:
    - copy: {content: "deb [trusted=yes] file:/run/shared/repo ./\\n", dest: /etc/apt/sources.list}
    - apt: {name: greeting, state: latest, update_cache: true}
    - package_facts:
    - assert:
        that:
          - ansible_facts.packages.greeting[0].version == '2.0'
          - ansible_facts.distribution == 'Debian'
          - ansible_facts.hostname == 'guest'
    - copy: {content: "hello\\n", dest: /etc/greeting.conf, mode: "0644"}
    - lineinfile: {path: /etc/greeting.conf, line: from lineinfile}
    - template: {src: "{{ playbook_dir }}/motd.j2", dest: /etc/motd}
    - group: {name: staff2}
    - user: {name: alice, groups: [staff2], shell: /bin/sh}
    - file: {path: /srv/data, state: directory, owner: alice, mode: "0700"}
    - systemd_service: {name: greeting, enabled: true}
    - command: systemctl is-enabled greeting
      register: enabled
    - service: {name: greeting, enabled: true}
      register: again
    - command: touch /srv/data/by-alice
      become: true
      become_user: alice
      become_method: su
    - stat: {path: /srv/data/by-alice}
      register: made
    - script: "{{ playbook_dir }}/say.sh"
      register: said
    - slurp: {src: /etc/greeting.policy}
      register: policy
    - fetch: {src: /etc/motd, dest: "{{ playbook_dir }}/fetched", flat: true}
    - assert:
        that:
          - enabled.stdout == 'enabled'
          - again is not changed
          - made.stat.pw_name == 'alice'
          - said.stdout_lines == ['uid=0']
          - (policy.content | b64decode | trim) == 'policy 101'
    - systemd_service: {name: greeting, state: started}
      register: started
      ignore_errors: true
    - command: sleep 1
      async: 10
      poll: 1
      register: later
      ignore_errors: true
    - assert:
        that:
          - later is failed
          - "'async is not possible' in later.msg"

- hosts: localhost
  gather_facts: false
  tasks:
    - vdisk.lifecycle.vmdk_mount:
        mount_point: "{{ mount_point }}"
        state: committed
        changes: true
      register: committed
    - copy: {content: "{{ committed.changes | to_json }}", dest: "{{ playbook_dir }}/changes.json"}
"""
# What apt, dpkg and useradd keep for themselves.
_BOOKS = ("/etc/", "/var/lib/dpkg/", "/var/lib/apt/", "/var/lib/systemd/", "/var/log/",
          "/var/cache/", "/home/alice", "/srv/data", "/usr/bin/greeting", "/tmp",
          "/lib/systemd/system/greeting", "/usr/lib/systemd/system/greeting")  # fmt: skip


@pytest.mark.slow
def test_ordinary_tasks_change_what_they_say_and_no_more(tmp_path, debian_guest, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    repo = tmp_path / "repo"
    repo.mkdir()
    packages.greeting(tmp_path, "2.0", POSTINST).rename(repo / "greeting_2.0_all.deb")
    packages.repository(repo)
    (tmp_path / "motd.j2").write_text("{{ ansible_facts.distribution }}\n")
    (tmp_path / "say.sh").write_text("#!/bin/sh\necho uid=$(id -u)\n")
    (tmp_path / "inventory.json").write_text(json.dumps(INVENTORY))
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    answers = {
        "disk": str(debian_guest),
        "mount_point": str(tmp_path / "mnt"),
        "repo": str(repo),
    }
    _play(tmp_path, answers)
    changes = json.loads((tmp_path / "changes.json").read_text())
    assert {"name": "greeting", "from": "1.0", "to": "2.0"}.items() <= (
        changes["packages"]["changed"][0].items()
    )
    touched = [path for paths in changes["files"].values() for path in paths if "/" in path]
    assert [path for path in touched if not path.startswith(_BOOKS)] == []
    assert not {"/usr/sbin/policy-rc.d", "/etc/resolv.conf", "/root/.ansible"} & set(touched)
    assert (tmp_path / "fetched").read_text() == "Debian\n"


def _play(folder, answers):
    program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    command = [program, "-i", "inventory.json", "play.yml", "-e", json.dumps(answers)]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        discard = f"mount_point={answers['mount_point']} state=discarded"
        python = f"ansible_python_interpreter={sys.executable}"
        module = ["-m", "vdisk.lifecycle.vmdk_mount", "-a", discard, "-e", python]
        ansible = program.removesuffix("-playbook")
        subprocess.run([ansible, "localhost", *module], capture_output=True, check=False)
