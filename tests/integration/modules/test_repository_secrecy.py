# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody without the key learns from every byte of encrypted repositories: nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import typing as t
import uuid
from pathlib import Path

import pytest
from blake3 import blake3

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.keys import NewKey
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)

CHUNK = 256 << 10
PASSPHRASES = ("correct horse battery staple", "incorrect donkey", "a third one")
NEEDLE = b"The launch code is 0000, do not tell anybody."
NAMES = ("payroll-db", "before-the-merger")


def objects(url):
    store = open_store(url)
    return {stored.key.removeprefix("./"): store.get(stored.key) for stored in store.list("")}


class Shown(t.NamedTuple):
    """All bytes of each repository, and what they were made of."""

    urls: list[str]
    everything: list[dict[str, bytes]]
    disk: Path


@pytest.fixture(scope="module", params=["directory", "object store"])
def shown(request, tmp_path_factory):
    """Two repositories that hold the same disk, and a copy of the first with its master key."""
    folder = tmp_path_factory.mktemp("shown")
    with pytest.MonkeyPatch.context() as environment:
        base = str(folder)
        if request.param == "object store":
            for name, value in request.getfixturevalue("s3_server").environment().items():
                environment.setenv(name, value)
            open_store("s3://backups/made-by-the-tests").put("key", b"")
            base = f"s3://backups/{uuid.uuid4().hex}"
        urls = [f"{base}/{name}" for name in ("one", "two", "three")]
        disk = folder / f"{NAMES[0]}.img"
        make(urls, disk)
        yield Shown(urls, [objects(url) for url in urls], disk)


def make(urls, disk):
    how = {"encryption": "aes-256-gcm", "chunk_size": CHUNK}
    one, two = (
        create_repository(url, new_keys=[NewKey("key of the boss", passphrase)], **how)
        for url, passphrase in zip(urls[:2], PASSPHRASES[:2], strict=True)
    )
    three = create_repository(urls[2], passphrase=PASSPHRASES[2], master_of=one, **how)
    for name, first in ((NAMES[1], b""), (f"{NAMES[1]}-2", b"changed")):
        disk.write_bytes(first + content()[len(first) :])
        device = RawDevice.open(str(disk))
        for repository in (one, two):
            source = Source("disk", "b0f1-5d", NAMES[0], {"path": str(disk)})
            repository.back_up(
                [DiskSource("disk0", NAMES[0], device, "", str(disk))], source, name=name
            )
        device.close()
    one.copy_points(three, one.missing_in(three, [], []))


def content():
    """Noise, zeros and a text that compresses well: chunks of every kind."""
    noise = hashlib.shake_128(b"noise").digest(CHUNK)
    text = (NEEDLE * (CHUNK // len(NEEDLE) + 1))[:CHUNK]
    return noise + bytes(CHUNK) + text + noise + NEEDLE


@pytest.fixture
def both(shown):
    return shown.everything


@pytest.fixture
def disk(shown):
    return shown.disk


def chunks(disk):
    data = disk.read_bytes()
    cut = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    return [chunk for chunk in cut if any(chunk)]


def spellings(secret):
    """A text as it may stand somewhere, by accident."""
    plain = secret.decode()
    yield from (secret, plain.encode("utf-16-le"), plain.encode("utf-16-be"))
    yield from (secret.hex().encode(), secret.hex().upper().encode())
    yield from (json.dumps(plain)[1:-1].encode(), plain.swapcase().encode())
    for skipped in range(3):  # base64 looks another way at each of three offsets
        yield base64.b64encode(secret[skipped : len(secret) // 3 * 3 - 3 + skipped])


def test_no_text_that_is_secret_is_anywhere(both, disk):
    secrets = [NEEDLE, *(text.encode() for text in (*NAMES, *PASSPHRASES))]
    secrets += [str(disk).encode(), disk.name.encode()]
    for found in both:
        for key, data in found.items():
            for secret in secrets:
                for spelling in spellings(secret):
                    assert spelling not in data, f"{secret} is in {key}"
                    assert spelling not in key.encode()


def test_no_content_of_the_disk_is_anywhere(both, disk):
    samples = [chunk[at : at + 16] for chunk in chunks(disk) for at in range(0, len(chunk), 4096)]
    for found in both:
        everything = b"".join(found.values())
        assert not [sample for sample in set(samples) if len(sample) == 16 and sample in everything]


def test_no_hash_that_others_could_compute_is_anywhere(both, disk):
    data = disk.read_bytes()
    for content in (data, *chunks(disk)):
        for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"):
            refuse(both, hashlib.new(name, content).digest(), name)
        refuse(both, blake3(content).digest(), "blake3")


def refuse(both, digest, name):
    for found in both:
        for key, data in found.items():
            for part in (digest[:16], digest.hex()[:32].encode()):
                assert part not in data and part not in key.encode(), f"{name} of content in {key}"


def windows(data, length=16):
    return {data[at : at + length] for at in range(len(data) - length + 1)}


def test_no_two_repositories_share_sixteen_bytes_in_a_row(both):
    """Not even those with the same master key; but for the constant words of documents in clear."""
    seen: dict[bytes, int] = {}
    for number, found in enumerate(both):
        parts = [part for key, data in found.items() for part in made_by_chance(key, data)]
        mine = set().union(*map(windows, parts))
        assert len(mine) > CHUNK
        for window in mine:
            assert seen.setdefault(window, number) == number, window


def made_by_chance(key, data):
    """All of an object; of a document in clear its ids, salts, keys and signatures."""
    return re.findall(rb"[0-9a-f]{16,}", data) if is_clear(key) else [data]


def is_clear(key):
    return key.removeprefix("spare/") == "repo.json" or "keys/" in key


def test_only_the_documents_in_clear_are_in_clear(both):
    for found in both:
        for key, data in found.items():
            if is_clear(key):
                facts = json.loads(data)
                assert set(facts) <= {
                    *("format", "version", "min_reader", "min_writer", "repository", "created"),
                    *("cipher", "id_hash", "chunk_size", "signature"),
                    *("id", "kdf", "n", "r", "p", "salt", "nonce", "wrapped", "name"),
                }
            else:
                assert data[:4] in (b"VBP1", b"VBD1"), key
                assert not re.search(rb"[ -~]{24}", data[4:]), f"{key} has a text in it"


def test_names_of_objects_tell_no_names(both):
    allowed = re.compile(
        r"(spare/)?(repo\.json|keys/[0-9a-f]{16}\.json)|packs/([0-9a-f]{2})/\3[0-9a-f]{62}"
        r"|backups/[^/]+/\d{8}T\d{6}Z-[0-9a-f]{8}"
    )
    for found in both:
        assert [key for key in found if not allowed.fullmatch(key)] == []


@pytest.mark.parametrize("change", ["flipped", "cut", "swapped", "from another"])
def test_a_manifest_that_was_tampered_with_is_refused(shown, modules, change, tmp_path):
    store = open_store(shown.urls[0])
    mine, others = shown.everything[:2]
    first, second = sorted(key for key in mine if key.startswith("backups/"))
    other = next(key for key in others if key.startswith("backups/"))
    forged = {
        "flipped": mine[second][:-1] + bytes([mine[second][-1] ^ 1]),
        "cut": mine[second][:-20],
        "swapped": mine[first],
        "from another": others[other],
    }
    options = {"repository": shown.urls[0], "passphrase": PASSPHRASES[0]}
    restore = {"restore_point": second.rpartition("/")[2], "dest": tmp_path / "restored.img"}
    store.put(second, forged[change])
    try:
        failed = modules.fail("vmdk_restore", **restore, **options)
        problems = modules.vmdk_backup_info(**options)["problems"]
    finally:
        store.put(second, mine[second])
    assert "it was changed, damaged or moved" in failed["msg"]
    assert not (tmp_path / "restored.img").exists()
    assert len(problems) == 1 and second.rpartition("/")[2] in problems[0]
