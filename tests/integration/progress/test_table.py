# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the callback vmdk_table, as somebody in front of a terminal sees it."""

from __future__ import annotations

import re
import signal
import termios
import time

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.progress.terminal import Terminal

HOSTS = ["web01", "web02", "web03", "db01"]
CTRL_C = "\x03"
HEADING = re.compile(r"^-- (\d+) running, (\d+) done(?:, (\d+) failed)? -+$", re.M)


@pytest.fixture
def terminal(environment):
    """terminal(command, columns, lines, …): a program in a terminal."""
    opened = []

    def start(command, columns, lines, **more):
        opened.append(Terminal(command, columns, lines, {**environment, **more}))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def clones(book, slow_disk, tmp_path):
    """Each host has its disk copied by another one; that of web03 is not there. A busy machine
    needs many seconds until all of them have begun, and none may have ended by then."""
    sources = {name: slow_disk(48, 48) for name in HOSTS}
    sources["web03"] = str(tmp_path / "none.vmdk")
    clone = {
        "name": "Copy",
        "vdisk.lifecycle.vmdk_clone": {
            "src": "{{ sources[inventory_hostname] }}",
            "dest": str(tmp_path / "made" / "{{ inventory_hostname }}.vmdk"),
        },
        "delegate_to": "proxy1",
    }
    (tmp_path / "made").mkdir()
    tell = {"name": "Tell", "ansible.builtin.debug": {"msg": "ordinary output"}}
    play = {"hosts": "all:!proxy1", "strategy": "free", "vars": {"sources": sources}}
    return book([*HOSTS, "proxy1"], tell, clone, tell, **play)


def rows(terminal):
    """Of the table on the screen: the lines beneath its heading."""
    lines = terminal.screen.display
    (heading,) = (at for at, line in enumerate(lines) if line.startswith("-- "))
    return [line.rstrip() for line in lines[heading + 1 :]]


def is_drawn(terminal, running, done, failed=None):
    found = HEADING.findall(terminal.text)
    return found == [(str(running), str(done), "" if failed is None else str(failed))]


def require_restored(terminal):
    """Nothing of the table is left, and all lines scroll."""
    assert terminal.screen.margins is None
    assert not HEADING.search(terminal.text) and "[###" not in terminal.text
    assert termios.tcgetattr(terminal.master) == terminal.before
    assert not terminal.screen.cursor.hidden


def test_many_at_a_time_in_a_terminal_that_changes_its_size(clones, terminal, hurry, tmp_path):
    shown = terminal(clones, 80, 24)
    shown.until(lambda: is_drawn(shown, 3, 0, 1) and shown.text.count("%") == 3)
    assert len(shown.screen.display) == 24
    for row in rows(shown)[:3]:
        assert re.match(
            r"(web0[12]|db01)\.vmdk +proxy1 +\[#*\.*\] +\d+%( +\d+ MiB/s)?( +\d:\d\d)?$", row
        )
    above = shown.text[: shown.text.index("-- 3 running")]
    assert "cannot open it" in above  # of web03, in the midst of all
    shown.resize(40, 10)
    shown.until(lambda: is_drawn(shown, 3, 0, 1) and shown.text.count("%") == 3)
    for row in rows(shown)[:3]:
        assert re.match(r"proxy1 (web0[12]|db01)\.vmdk +\d+%( +\d:\d\d)?$", row)
    log, line = tmp_path / "log", "web01 -> proxy1: web01.vmdk  "
    shown.until(lambda: line in log.read_text(encoding="utf-8"))
    hurry()
    assert shown.end() == 2
    require_restored(shown)
    assert "failed=1" in shown.text
    assert shown.raw.count(b"ok: [") == 4 + 3  # nothing of it was lost
    # no line of progress between the rows: they are in the log
    assert b"proxy1: " not in shown.raw


@pytest.mark.parametrize(("stop", "code"), [(CTRL_C, 99), (signal.SIGTERM, -15)])
def test_who_is_stopped_leaves_the_terminal_as_it_was(clones, terminal, tmp_path, stop, code):
    shown = terminal(clones, 40, 10, NO_COLOR="1")
    shown.until(lambda: is_drawn(shown, 3, 0, 1))
    assert b"\x1b[3" not in shown.raw.split(b"-- 3 running")[-1].split(b"\x1b8")[0]
    if stop == CTRL_C:
        shown.type(CTRL_C)
    else:
        shown.process.send_signal(stop)
    assert shown.end() == code
    require_restored(shown)
    end = time.monotonic() + 60
    while list((tmp_path / "made").iterdir()):  # the jobs are stopped too
        assert time.monotonic() < end
        time.sleep(0.1)


def test_lines_where_there_is_no_such_terminal(clones, terminal, hurry):
    shown = terminal(clones, 80, 24, TERM="dumb", ANSIBLE_NOCOLOR="1")
    for name in ("web01", "web02", "db01"):
        line = f"{name} -> proxy1: {name}.vmdk  ".encode()
        shown.until(lambda line=line: line in shown.raw)
    hurry()
    assert shown.end() == 2
    assert b"\x1b" not in shown.raw
