# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets: each kind is found, told by its place, and what looks alike is not one."""

from __future__ import annotations

import hashlib
import json
import os
import time
import tracemalloc

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.secrets import (
    find_secrets,
    is_text,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.walk import Seen

# In parts, so that no scanner takes this file for what it describes.
BEGIN, END = "-----BEGIN ", "-----END "
KEY = f"{BEGIN}PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n{END}PRIVATE KEY-----\n"
LOCKED = f"{BEGIN}ENCRYPTED PRIVATE KEY-----\nMIGjMF8GCSqGSIb3DQ\n{END}ENCRYPTED PRIVATE KEY-----\n"
OPEN_SSH = f"{BEGIN}OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ==\n{END}"
LOCKED_SSH = f"{BEGIN}OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI=\n{END}"
PUTTY = "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nAAAA\nPrivate-MAC: " + "0f" * 32

SERVICE = json.dumps({"type": "service_account", "private_key_id": "0f" * 20})

KINDS = [
    ("/etc/ssl/key.pem", KEY, "private-key"),
    ("/etc/ssl/key.pem", LOCKED, "encrypted-private-key"),
    ("/home/a/.ssh/id", OPEN_SSH, "private-key"),
    ("/home/a/.ssh/id", LOCKED_SSH, "encrypted-private-key"),
    ("/home/a/key.ppk", PUTTY, "private-key"),
    ("/x", "id = " + "AKIA" + "Q3EGUXAMPLE4ABCD", "aws-access-key"),
    ("/x", "aws_secret_access_key = " + "wJalrXUtn/" * 4, "aws-secret-key"),
    ("/x.json", SERVICE, "gcp-service-account"),
    ("/x", "AccountName=a;" + "AccountKey=" + "A" * 86 + "==;", "azure-storage-key"),
    ("/x", "SharedAccess" + "Key=" + "B" * 43 + "=", "azure-shared-key"),
    ("/x", "token: " + "ghp" + "_" + "a1" * 18, "github-token"),
    ("/x", "glpat" + "-" + "a1b2c3d4e5f6g7h8i9j0", "gitlab-token"),
    ("/x", "xoxb" + "-123456789012-abcdefghij", "slack-token"),
    ("/x", "postgresql://app:" + "s3cr3t@db/app", "url-password"),
    ("/home/a/.netrc", "machine a login b password c0mpl3x", "netrc-password"),
    ("/home/a/.pgpass", "db:5432:*:app:s3cr3t", "pgpass-password"),
    ("/root/.my.cnf", "[client]\npassword = s3cr3t\n", "mysql-password"),
    ("/root/.docker/config.json", '{"auths": {"r": {"auth": "dXNlcjpwYXNz"}}}', "docker-auth"),
    ("/root/.bash_history", "ls\nmysql -u root -ps3cr3t app\n", "shell-history-password"),
    ("/root/.bash_history", "export API_TOKEN=0123456789abcdef\n", "shell-history-token"),
    ("/etc/shadow", "root:*:1::::::\nann::19000:0:99999:7:::\n", "empty-password"),
]  # fmt: skip

HARMLESS = [
    ("/x", f"{BEGIN}PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n{END}PUBLIC KEY-----"),
    ("/x.py", f'if text.startswith("{BEGIN}PRIVATE KEY-----"):'),
    ("/x", "password s3cr3t in prose"),
    ("/home/a/.bash_history", "mysql -p app\nread -s PASSWORD\necho $PASSWORD\n"),
    ("/x", "https://user@example.com/ and http://host:8080/a@b"),
    ("/etc/shadow", "root:!:1::::::\nann:$y$j9T$x:19000:0:99999:7:::\n"),
    ("/x", "AKIAIOSFODNN7EXAMPLEANDMORE"),
]


@pytest.fixture
def search(tmp_path):
    def search(path, text, mode=0o600, allow=()):
        file = tmp_path / "file"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)
        fd = os.open(file, os.O_RDONLY)
        try:
            return list(find_secrets(Seen(path.encode(), fd, os.fstat(fd)), allow))
        finally:
            os.close(fd)

    return search


@pytest.mark.parametrize(("path", "text", "kind"), KINDS)
def test_each_kind_is_found(search, path, text, kind):
    assert [found["kind"] for found in search(path, text)] == [kind]


@pytest.mark.parametrize(("path", "text"), HARMLESS)
def test_what_looks_alike_is_none(search, path, text):
    assert search(path, text) == []


def test_line_and_digest_are_told_and_the_secret_is_not(search):
    secret = "s3cr3t-and-long"
    found = search("/home/a/.netrc", f"# mine\n\nmachine a\n  password {secret}\n")
    digest = hashlib.sha256(secret.encode()).hexdigest()[:8]
    assert [(each["line"], each["sha256"]) for each in found] == [(4, digest)]
    assert secret not in str(found)


def test_a_key_that_everybody_may_read_is_worse(search):
    assert search("/k", KEY, mode=0o600)[0]["severity"] == "high"
    assert search("/k", KEY, mode=0o644)[0]["severity"] == "critical"


@pytest.mark.parametrize("allow", ["/usr/share/*", "digest"])
def test_what_is_allowed_is_not_told(search, allow):
    found = search("/usr/share/doc/key.pem", KEY)
    word = found[0]["sha256"] if allow == "digest" else allow
    assert search("/usr/share/doc/key.pem", KEY, allow=[word]) == []


@pytest.mark.parametrize(("content", "wanted"), [(b"\0\1\2", False), (b"a", True), (b"", True)])
def test_binaries_are_no_text(content, wanted, tmp_path):
    (tmp_path / "file").write_bytes(content)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert is_text(fd) is wanted
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        f"{BEGIN}A " + "A " * 50,
        "mysql a ",
        "password",
        "token",
        "\n",
        "a" * 100,
        "ghp_",
        "https://a:",
        "Private-MAC: ",
        "::",
    ],
)
@pytest.mark.parametrize("path", ["/root/.bash_history", "/root/.pgpass", "/root/.my.cnf"])
def test_no_file_makes_a_pattern_slow(search, path, text):
    begin = time.process_time()
    search(path, text * (2_000_000 // len(text)) + "passw = :: ://")
    assert time.process_time() - begin < 5


def test_no_file_makes_a_pattern_take_memory(search):
    tracemalloc.start()
    try:
        search("/x", f"{BEGIN}PRIVATE KEY-----" + "A" * (2 << 20))
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
