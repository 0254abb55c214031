# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How to reach an object store: environment first, then the files of the AWS tools.

obstore reads AWS_*, GOOGLE_* and AZURE_* variables, and asks a cloud's own machines for theirs;
what it does not read are the files that `aws configure` writes.
"""

from __future__ import annotations

import configparser
import os

from ..._device.errors import InvalidRequest

_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
_BOTOCORE = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region_name": "region",
    "endpoint_url": "endpoint",
}


def settings(url: str) -> dict[str, str]:
    """Settings for obstore beyond what it finds itself. Raises InvalidRequest."""
    if not url.startswith(("s3://", "s3a://")):
        return {}
    # The server compares what arrives with what was sent.
    found = {"checksum_algorithm": "SHA256", **_profile()}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        found["endpoint"] = endpoint
    return found


def _profile() -> dict[str, str]:
    """The profile that AWS_PROFILE names, or `default` where no variable holds a key."""
    wanted = os.environ.get("AWS_PROFILE")
    if not wanted and "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    files = [
        os.environ.get("AWS_CONFIG_FILE") or os.path.expanduser("~/.aws/config"),
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.expanduser("~/.aws/credentials"),
    ]
    # In the first file, but not in the second, `profile` stands before the name.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(files)
    except configparser.Error:
        # Not shown: the error quotes lines of the file, and those hold secrets.
        raise InvalidRequest(
            "cannot read the AWS credentials: a line is wrong", path=", ".join(files)
        ) from None
    name = wanted or "default"
    sections = [part for part in (f"profile {name}", name) if parser.has_section(part)]
    if wanted and not sections:
        raise InvalidRequest(f"there is no AWS profile {wanted!r}", path=", ".join(files))
    return {
        _KEYS[key]: value for part in sections for key, value in parser.items(part) if key in _KEYS
    }


def for_botocore(url: str) -> dict[str, str]:
    """The same for a client of botocore, which looks in fewer places for the region."""
    found = settings(url)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    named = {ours: found[theirs] for ours, theirs in _BOTOCORE.items() if theirs in found}
    return {**({"region_name": region} if region else {}), **named}
