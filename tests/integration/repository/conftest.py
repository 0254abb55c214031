# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for repositories: a directory, a real S3 server, a locked bucket, a bad network."""

from __future__ import annotations

import datetime
import uuid

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import objects
from ansible_collections.vdisk.lifecycle.tests.integration.repository.faults import Proxy


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch, tmp_path):
    """scrypt at its real cost would be most of the time of these tests. And what a host remembers
    of repositories stays in the folder of the test."""
    monkeypatch.setattr(keys, "COST", (1 << 4, 8, 1))
    monkeypatch.setenv("VDISK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=["local", "s3"])
def any_store_url(request, tmp_path):
    """A new place, once in a directory and once in the S3 server."""
    if request.param == "local":
        return str(tmp_path / "repository")
    return request.getfixturevalue("s3_url")


@pytest.fixture
def s3_client(s3):
    """Another program's look at the server: botocore's."""
    session = pytest.importorskip("botocore.session").get_session()
    config = pytest.importorskip("botocore.config").Config(s3={"addressing_style": "path"})
    return session.create_client("s3", config=config, region_name="us-east-1")


@pytest.fixture
def locked_url(s3_client):
    """An empty place in a bucket with object lock."""
    try:
        s3_client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    except s3_client.exceptions.BucketAlreadyOwnedByYou:
        pass
    return f"s3://locked/{uuid.uuid4().hex}"


@pytest.fixture
def proxy(s3, monkeypatch):
    """Between us and the server from now on; it lets everything through until told otherwise.

    Everybody is less patient than in the world, for the tests would do little but wait.
    """
    backoff = {"init_backoff": datetime.timedelta(milliseconds=10), "base": 2}
    backoff["max_backoff"] = datetime.timedelta(milliseconds=200)
    monkeypatch.setattr(objects, "RETRY", {**objects.RETRY, "backoff": backoff})
    monkeypatch.setattr(objects, "PAUSE", 0.05)
    monkeypatch.setattr(objects, "ANSWER", datetime.timedelta(seconds=0.7))
    monkeypatch.setattr(objects, "TRANSFER", datetime.timedelta(seconds=4))
    made = Proxy(s3.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
    yield made
    made.close()
