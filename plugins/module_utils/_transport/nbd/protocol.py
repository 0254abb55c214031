# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Numbers and shapes of the NBD protocol. Source: doc/proto.md of NetworkBlockDevice/nbd."""

from __future__ import annotations

import errno
import struct

DEFAULT_PORT = 10809
MAGIC = 0x4E42444D41474943  # "NBDMAGIC"
OPTION_MAGIC = 0x49484156454F5054  # "IHAVEOPT"
OLD_MAGIC = 0x00420281861253  # of servers older than options
REPLY_MAGIC = 0x0003E889045565A9

# Handshake flags, of the server and of the client
FIXED_NEWSTYLE, NO_ZEROES = 1, 2

# Options
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS = 1, 2, 3, 5
OPT_INFO, OPT_GO, OPT_STRUCTURED_REPLY = 6, 7, 8
OPT_LIST_META_CONTEXT, OPT_SET_META_CONTEXT = 9, 10

# Replies to options
REP_ACK, REP_SERVER, REP_INFO, REP_META_CONTEXT = 1, 2, 3, 4
REP_ERROR = 1 << 31
ERR_UNSUP, ERR_POLICY, ERR_INVALID, ERR_PLATFORM = (REP_ERROR + number for number in range(1, 5))
ERR_TLS_REQD, ERR_UNKNOWN, ERR_SHUTDOWN = (REP_ERROR + number for number in range(5, 8))
ERR_BLOCK_SIZE_REQD, ERR_TOO_BIG = REP_ERROR + 8, REP_ERROR + 9

INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE = range(4)

# Transmission flags
HAS_FLAGS, READ_ONLY, SEND_FLUSH, SEND_FUA = 1, 2, 4, 8
SEND_TRIM, SEND_WRITE_ZEROES, SEND_DF, CAN_MULTI_CONN = 32, 64, 128, 256

# Requests
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM = range(5)
CMD_WRITE_ZEROES, CMD_BLOCK_STATUS = 6, 7
FLAG_FUA, FLAG_NO_HOLE, FLAG_DF, FLAG_REQ_ONE = 1, 2, 4, 8
REQUEST_MAGIC, SIMPLE_MAGIC, CHUNK_MAGIC = 0x25609513, 0x67446698, 0x668E33EF
COMMANDS = {
    CMD_READ: "read",
    CMD_WRITE: "write",
    CMD_FLUSH: "flush",
    CMD_TRIM: "trim",
    CMD_WRITE_ZEROES: "write zeros to",
    CMD_BLOCK_STATUS: "look for holes in",
}

# Chunks of structured replies
CHUNK_DONE = 1
CHUNK_NONE, CHUNK_DATA, CHUNK_HOLE, CHUNK_STATUS = 0, 1, 2, 5
CHUNK_ERROR, CHUNK_ERROR_OFFSET = 32769, 32770

ALLOCATION = b"base:allocation"
STATE_HOLE, STATE_ZERO = 1, 2

# What the protocol calls errors: numbers of Linux, whatever the server runs on
EPERM, EIO, ENOMEM, EINVAL = errno.EPERM, errno.EIO, errno.ENOMEM, errno.EINVAL
ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN = errno.ENOSPC, errno.EOVERFLOW, errno.EOPNOTSUPP, 108

GREETING = struct.Struct(">QQH")  # magic, option magic, handshake flags
OPTION = struct.Struct(">QII")  # option magic, option, length of data
OPTION_REPLY = struct.Struct(">QIII")  # magic, option, type, length of data
REQUEST = struct.Struct(">IHHQQI")  # magic, flags, command, cookie, offset, length
SIMPLE_REPLY = struct.Struct(">IIQ")  # magic, error, cookie
CHUNK = struct.Struct(">IHHQI")  # magic, flags, type, cookie, length of payload
EXPORT_INFO = struct.Struct(">HQH")  # INFO_EXPORT, size, transmission flags
BLOCK_SIZE_INFO = struct.Struct(">HIII")  # INFO_BLOCK_SIZE, minimum, preferred, maximum
EXPORT_REPLY = struct.Struct(">QH")  # to OPT_EXPORT_NAME: size, transmission flags
DESCRIPTOR = struct.Struct(">II")  # of a block status: length, state
CHUNK_FAULT = struct.Struct(">IH")  # error, length of the message

DEFAULT_MAXIMUM = 32 << 20  # bytes of one read or write where the server does not say
LONGEST_STRING = 4096  # bytes


def named(name: bytes) -> bytes:
    """A string with its length in front."""
    return struct.pack(">I", len(name)) + name
