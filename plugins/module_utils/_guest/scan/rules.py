# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
# ruff: noqa: E501 # a table
"""What a secret looks like. One line is one kind; the last group of a pattern is the secret."""

from __future__ import annotations

import re
import typing as t


class Rule(t.NamedTuple):
    """`anchor`: bytes without which it need not be looked for, in lower case.
    `files`: the only paths that it makes sense in, if that is so."""

    kind: str
    anchor: bytes
    pattern: re.Pattern[bytes]
    files: re.Pattern[bytes] | None = None


def _rule(kind: str, anchor: bytes, pattern: bytes, files: bytes | None = None) -> Rule:
    only = None if files is None else re.compile(files)
    return Rule(kind, anchor, re.compile(pattern, re.MULTILINE), only)


# A line of a key may end in a real newline, or in \n as JSON writes it. Whoever writes a pattern:
# a stranger's file must not make it slow, so nothing that repeats may match its own beginning. Nor
# large: a group takes memory each time that it repeats, so how often is limited.
_KEY_TEXT = rb"[A-Za-z0-9+/=:,.()\\\r\n ]"
_KEY_BODY = rb"(" + _KEY_TEXT + rb"+(?:-(?!-)" + _KEY_TEXT + rb"*){0,99})-----END"
_HISTORIES = rb"/\.(?:bash|zsh|sh|ash|mysql|psql|python)_?history$|/fish_history$"
_VALUE = rb"[ =]['\"]?([^\s'\"$]{4,})"

RULES = (
    _rule("private-key", b"private key", rb"-----BEGIN (?:[A-Z0-9]+ ){0,9}PRIVATE KEY(?: BLOCK)?-----" + _KEY_BODY),
    _rule("private-key", b"putty-user-key", rb"^Private-MAC: ([0-9a-f]{40,64})"),
    _rule("aws-access-key", b"akia", rb"(?<![A-Za-z0-9/+])(AKIA[A-Z0-9]{16})(?![A-Za-z0-9/+])"),
    _rule("aws-access-key", b"asia", rb"(?<![A-Za-z0-9/+])(ASIA[A-Z0-9]{16})(?![A-Za-z0-9/+])"),
    _rule("aws-secret-key", b"aws_secret_access_key", rb"(?i:aws_secret_access_key)['\"]?\s*[:=]\s*['\"]?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"),
    _rule("gcp-service-account", b"service_account", rb"\"private_key_id\"\s*:\s*\"([0-9a-f]{40})\""),
    _rule("azure-storage-key", b"accountkey=", rb"(?i:AccountKey)=([A-Za-z0-9+/]{86}==)"),
    _rule("azure-shared-key", b"sharedaccesskey=", rb"(?i:SharedAccessKey)=([A-Za-z0-9+/]{43}=)"),
    _rule("github-token", b"gh", rb"(?<![A-Za-z0-9])(gh[pousr]_[A-Za-z0-9]{36,255})"),
    _rule("github-token", b"github_pat_", rb"(github_pat_[A-Za-z0-9_]{82})"),
    _rule("gitlab-token", b"glpat-", rb"(glpat-[A-Za-z0-9_-]{20,})"),
    _rule("slack-token", b"xox", rb"(xox[abeoprs]-[0-9A-Za-z-]{10,})"),
    _rule("slack-webhook", b"hooks.slack.com", rb"(hooks\.slack\.com/services/T\w+/B\w+/\w{16,})"),
    _rule("stripe-key", b"k_live_", rb"([sr]k_live_[0-9A-Za-z]{20,})"),
    _rule("npm-token", b"npm_", rb"(?<![A-Za-z0-9])(npm_[A-Za-z0-9]{36})"),
    _rule("pypi-token", b"pypi-ageic", rb"(pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,})"),
    _rule("url-password", b"://", rb"\b(?:https?|ftp|ssh|postgres(?:ql)?|mysql|mongodb(?:\+srv)?|redis|amqp)://[^\s:/@'\"]+:([^\s:/@'\"${<]{4,})@"),
    _rule("netrc-password", b"password", rb"\bpassword\s+(\S+)", rb"/[._]netrc$"),
    _rule("pgpass-password", b":", rb"^[^#\n:]+:[^\n:]+:[^\n:]+:[^\n:]+:(.+)$", rb"/\.pgpass$"),
    _rule("mysql-password", b"passw", rb"^[ \t]*password\s*=\s*['\"]?([^\s'\"]+)", rb"/\.?my(?:\.cnf|login\.cnf)$|/debian\.cnf$"),
    _rule("docker-auth", b"\"auth\"", rb"\"auth\"\s*:\s*\"([A-Za-z0-9+/=]{8,})\"", rb"/(?:\.docker/config|\.?dockercfg)(?:\.json)?$"),
    _rule("shell-history-password", b"pass", rb"(?i:--?pass(?:word|wd|phrase)?|\b\w*pass(?:word|wd)|sshpass -p)" + _VALUE, _HISTORIES),
    _rule("shell-history-token", b"=", rb"(?i:(?:token|secret|api_?key)\w{0,64})=['\"]?([^\s'\"$]{8,})", _HISTORIES),
    _rule("shell-history-password", b"mysql", rb"\bmysql\w{0,8}\s(?:.{0,200}\s)?-p([^\s-]\S+)", _HISTORIES),
    _rule("empty-password", b"::", rb"^[^:#\n+-][^:\n]*:()(?=:)", rb"^/etc/shadow-?$"),
)  # fmt: skip
