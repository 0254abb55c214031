# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""System calls that reach the host through every namespace, refused by seccomp(2).

Keyrings belong to a user, and root in there is root here. A user namespace gives back the
capabilities that were dropped. VSOCK leads to other machines without any network.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import typing as t

from .kernel import SECCOMP, check, libc

_FILTER = 2  # SECCOMP_MODE_FILTER
_LOAD, _EQUAL, _AT_LEAST, _HAS_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF, of 32 bits
_NUMBER, _ABI, _FIRST = 0, 4, 16  # in struct seccomp_data; the low half of the first argument
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_X32 = 0x40000000  # the same calls by other numbers
_NEWUSER, _AF_VSOCK = 0x10000000, 40


class _Abi(t.NamedTuple):
    """The numbers of calls, by AUDIT_ARCH_*."""

    arch: int
    missing: tuple[int, ...]  # add_key request_key keyctl bpf perf_event_open userfaultfd
    clone: int
    unshare: int
    socket: int


_ANYWHERE = (425, 435)  # io_uring_setup, whose work no filter sees; clone3: glibc takes clone then
_X86_64 = _Abi(0xC000003E, (248, 249, 250, 321, 298, 323), clone=56, unshare=272, socket=41)
_I386 = _Abi(0x40000003, (286, 287, 288, 357, 336, 374), clone=120, unshare=310, socket=359)
_AARCH64 = _Abi(0xC00000B7, (217, 218, 219, 280, 241, 282), clone=220, unshare=97, socket=198)
_ARM = _Abi(0x40000028, (309, 310, 311, 386, 364, 388), clone=120, unshare=337, socket=281)
_ABIS = {"x86_64": (_X86_64, _I386), "aarch64": (_AARCH64, _ARM)}


def refuse_calls() -> None:
    """For this process and all that it starts. It cannot get new rights any more."""
    rules = b"".join(map(_rules, _ABIS.get(os.uname().machine, ()))) + _rule(_RETURN, _ALLOW)
    text = ctypes.create_string_buffer(rules, len(rules))
    program = struct.pack("HP", len(rules) // 8, ctypes.addressof(text))  # struct sock_fprog
    check(libc.prctl(SECCOMP, _FILTER, program, 0, 0), "seccomp")


def _rules(abi: _Abi) -> bytes:
    rules = _rule(_LOAD, _NUMBER) + _rule(_AT_LEAST, _X32, 0, 1) + _error(errno.ENOSYS)
    for number in (*abi.missing, *_ANYWHERE):
        rules += _rule(_EQUAL, number, 0, 1) + _error(errno.ENOSYS)
    for number in (abi.clone, abi.unshare):
        rules += _by_argument(number, _HAS_BIT, _NEWUSER, errno.EPERM)
    rules += _by_argument(abi.socket, _EQUAL, _AF_VSOCK, errno.EAFNOSUPPORT)
    rules += _rule(_RETURN, _ALLOW)
    return _rule(_LOAD, _ABI) + _rule(_EQUAL, abi.arch, 0, len(rules) // 8) + rules


def _by_argument(number: int, test: int, value: int, error: int) -> bytes:
    rules = _rule(_LOAD, _FIRST) + _rule(test, value, 0, 1) + _error(error) + _rule(_RETURN, _ALLOW)
    return _rule(_EQUAL, number, 0, len(rules) // 8) + rules


def _error(number: int) -> bytes:
    return _rule(_RETURN, _ERROR | number)


def _rule(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    """struct sock_filter; `true` and `false` are how many rules to skip."""
    return struct.pack("HBBI", code, true, false, value)
