# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of a guest, as its own package manager lists them."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts import apk, dpkg, rpm
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.root import GuestRoot

SPEC = """\
Name: {name}
Version: 1.2
Release: 3
{epoch}
Summary: made by a test
License: none
BuildArch: noarch
%description
{text}
%files
"""
NAMES = ("hello", "world", "gpg-key-tool")

needs_rpm = pytest.mark.skipif(not shutil.which("rpmbuild"), reason="rpm is not installed")


def run(*command, **options):
    done = subprocess.run(
        [str(each) for each in command], check=True, capture_output=True, **options
    )
    return done.stdout


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no Debian")
def test_debian_packages_are_those_that_dpkg_lists():
    form = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n"
    listed = run("dpkg-query", "--show", f"--showformat={form}", text=True).splitlines()
    there = {tuple(line.split("\t")[1:]) for line in listed if line.startswith("installed\t")}
    with GuestRoot("/") as root:
        found = dpkg.packages(root)
    assert {(each.name, each.version, each.arch, each.source or each.name) for each in found} == (
        there
    )
    assert len(found) == len(there)


def test_packages_of_an_image_without_dpkg(tmp_path):
    parts = tmp_path / "var/lib/dpkg/status.d"
    parts.mkdir(parents=True)
    (parts / "base").write_text("Package: base-files\nVersion: 12.4\nArchitecture: amd64\n")
    (parts / "base.md5sums").write_text("d41d8cd98f00b204e9800998ecf8427e  etc/x\n")
    with GuestRoot(str(tmp_path)) as root:
        assert [(each.name, each.version) for each in dpkg.packages(root)] == [
            ("base-files", "12.4")
        ]


@pytest.mark.parametrize("folder", ["lib/apk/db", "usr/lib/apk/db"])
def test_packages_of_alpine(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "installed").write_text(
        "C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nT:the C library\no:musl\nF:lib\nR:ld.so\n\n"
        "C:Q1def=\nP:busybox-binsh\nV:1.36.1-r29\nA:x86_64\no:busybox\n\n"
    )
    with GuestRoot(str(tmp_path)) as root:
        assert [tuple(each) for each in apk.packages(root)] == [
            ("musl", "1.2.5-r0", "x86_64", "apk", "musl"),
            ("busybox-binsh", "1.36.1-r29", "x86_64", "apk", "busybox"),
        ]


@pytest.fixture(scope="module")
def red_hat(tmp_path_factory):
    """A root in which rpm has installed some packages, one of them with a very long header."""
    top = tmp_path_factory.mktemp("rpm")
    for number, name in enumerate(NAMES):
        spec = top / f"{name}.spec"
        epoch = f"Epoch: {number}" if number else ""
        text = "much to say\n" * (2000 if number == 1 else 1)
        spec.write_text(SPEC.format(name=name, epoch=epoch, text=text))
        run("rpmbuild", "-bb", "--define", f"_topdir {top}/build", spec)
    root = top / "root"
    root.mkdir()
    made = sorted((top / "build/RPMS/noarch").glob("*.rpm"))
    run("rpm", "--root", root, "--dbpath", "/var/lib/rpm", "-i", "--nodeps", *made)
    return root


def listed_by_rpm(root):
    form = "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\n"
    query = ("rpm", "--root", root, "--dbpath", "/var/lib/rpm", "-qa", "--qf", form)
    return {tuple(line.split("\t")) for line in run(*query, text=True).splitlines()}


def listed_by_us(folder):
    with GuestRoot(str(folder)) as root:
        return {(each.name, each.version, each.arch, each.source) for each in rpm.packages(root)}


@needs_rpm
def test_red_hat_packages_are_those_that_rpm_lists(red_hat):
    assert listed_by_us(red_hat) == listed_by_rpm(red_hat)
    assert len(listed_by_us(red_hat)) == len(NAMES)


@needs_rpm
def test_what_is_still_in_the_journal_of_the_database_counts(red_hat, tmp_path):
    """As after a crash of the guest: rpm commits to a file beside the database."""
    copy = tmp_path / "root"
    shutil.copytree(red_hat, copy)
    path = copy / "var/lib/rpm/rpmdb.sqlite"
    database = sqlite3.connect(path, isolation_level=None)
    assert database.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("DELETE FROM Packages WHERE hnum = (SELECT max(hnum) FROM Packages)")
    crashed = tmp_path / "crashed"
    shutil.copytree(copy, crashed)
    database.close()
    assert len(listed_by_us(crashed)) == len(NAMES) - 1


@needs_rpm
@pytest.mark.parametrize("order", ["1234", "4321"])
@pytest.mark.skipif(not shutil.which("db5.3_load"), reason="db5.3-util is not installed")
def test_the_database_of_older_releases(red_hat, tmp_path, order):
    """Berkeley DB, written by its own tool, of the very same headers."""
    database = sqlite3.connect(red_hat / "var/lib/rpm/rpmdb.sqlite")
    rows = database.execute("SELECT hnum, blob FROM Packages").fetchall()
    lines = ["VERSION=3", "format=bytevalue", "type=hash", "db_pagesize=4096", f"db_lorder={order}"]
    lines += ["HEADER=END", " 00000000", " 09000000"]
    for number, blob in rows:
        lines += [f" {number.to_bytes(4, 'little').hex()}", f" {blob.hex()}"]
    folder = tmp_path / "var/lib/rpm"
    folder.mkdir(parents=True)
    dump = "\n".join([*lines, "DATA=END", ""])
    run("db5.3_load", folder / "Packages", input=dump.encode())
    assert listed_by_us(tmp_path) == listed_by_rpm(red_hat)


@pytest.mark.parametrize(
    ("name", "content"),
    [("rpmdb.sqlite", b"SQLite format 3\0" + bytes(4096)), ("Packages", bytes(8192))],
)
def test_a_damaged_database_is_told(tmp_path, name, content):
    folder = tmp_path / "var/lib/rpm"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    with GuestRoot(str(tmp_path)) as root, pytest.raises(UnsupportedDisk, match=name):
        rpm.packages(root)


def test_a_database_that_never_ends_is_given_up(tmp_path, monkeypatch):
    folder = tmp_path / "var/lib/rpm"
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "rpmdb.sqlite") as database:
        database.execute(
            "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS"
            " (SELECT x'00' UNION ALL SELECT blob FROM n) SELECT blob FROM n"
        )
    monkeypatch.setattr(rpm, "_STEPS", 10_000_000)
    with GuestRoot(str(tmp_path)) as root, pytest.raises(UnsupportedDisk, match="interrupted"):
        rpm.packages(root)
