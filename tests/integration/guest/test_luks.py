# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted volumes: cryptsetup and QEMU encrypt, we read; we write, they decrypt.

`cryptsetup reencrypt` does that to files, without device-mapper.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pickle
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    WrongKey,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.discover import find_volumes
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.luks.secret import (
    Secret,
    read_key_file,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.volumes import choose

pytestmark = [
    pytest.mark.skipif(not shutil.which("cryptsetup"), reason="cryptsetup is not installed"),
]
MIB = 1 << 20
PASSPHRASE = b"correct horse battery staple"
FAST = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
ARGON2 = ["--pbkdf-memory", "4096", "--pbkdf-force-iterations", "4", "--pbkdf-parallel", "2"]
KINDS = {
    "usual": [*FAST],
    "argon2id": ["--pbkdf", "argon2id", *ARGON2],
    "argon2i and sectors of 4096": ["--pbkdf", "argon2i", *ARGON2, "--sector-size", "4096"],
    "essiv": [*FAST, "--cipher", "aes-cbc-essiv:sha256", "--key-size", "256"],
    "plain": [*FAST, "--cipher", "aes-cbc-plain64", "--key-size", "128", "--hash", "sha512"],
    "xts-plain": [*FAST, "--cipher", "aes-xts-plain", "--key-size", "256", "--hash", "sha1"],
}


def run(*command):
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(PASSPHRASE)
    return path


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A file system with a file, by the real mkfs; the rest is noise."""
    folder = tmp_path_factory.mktemp("content")
    (folder / "files").mkdir()
    (folder / "files" / "greeting").write_bytes(os.urandom(MIB))
    path = folder / "content.img"
    path.write_bytes(os.urandom(4 * MIB))
    options = ["-b", "4096", "-L", "inside", "-E", "nodiscard"]
    run("mkfs.ext4", "-q", *options, "-d", folder / "files", path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def encrypt(tmp_path_factory, content):
    """A file that cryptsetup has encrypted, in place: LUKS2, 8 MiB before the content."""
    folder = tmp_path_factory.mktemp("encrypted")
    (folder / "key").write_bytes(PASSPHRASE)
    fixed = ["--type", "luks2", "--reduce-device-size", "16M", "-q", "--key-file", folder / "key"]

    @functools.cache
    def make(options):
        path = folder / f"{hash(options)}.img"
        path.write_bytes(content)
        os.truncate(path, 20 * MIB)
        run("cryptsetup", "reencrypt", "--encrypt", *fixed, *options, path)
        return path

    return make


@pytest.fixture
def encrypted(encrypt, tmp_path):
    """A copy of one."""

    def copy(*options):
        return shutil.copy(encrypt(options), tmp_path / "disk.img")

    return copy


def decrypted(path, key):
    """By cryptsetup."""
    header = path.with_suffix(".header")
    words = ["--force-offline-reencrypt", "--header", header, "-q", "--key-file", key]
    run("cryptsetup", "reencrypt", "--decrypt", *words, path)
    return path.read_bytes()


def unlocked(devices, secret=PASSPHRASE):
    (volume,) = (v for v in find_volumes(devices, [Secret(secret)]) if v.partition.scheme == "luks")
    return volume


@pytest.mark.parametrize("kind", KINDS)
def test_what_cryptsetup_has_encrypted_is_read(encrypted, content, kind):
    with RawDevice.open(encrypted(*KINDS[kind])) as disk:
        volume = unlocked([disk])
        assert read(volume.open([disk]), 0, len(content)) == content
        assert (volume.filesystem.kind, volume.filesystem.label) == ("ext4", "inside")
        assert (volume.size, volume.place) == (12 * MIB, None)


@pytest.mark.parametrize("kind", ["usual", "argon2i and sectors of 4096", "essiv"])
def test_what_we_write_is_decrypted_by_cryptsetup(encrypted, content, key, kind):
    path = encrypted(*KINDS[kind])
    expected = bytearray(content.ljust(12 * MIB, b"\0"))
    with RawDevice.open(path, writable=True) as disk:
        inside = unlocked([disk]).open([disk])
        expected[4 * MIB :] = read(inside, 4 * MIB, 8 * MIB)
        for offset, length in ((0, 512), (4096, 4096), (MIB - 7, MIB + 300), (11 * MIB + 1, 1)):
            noise = os.urandom(length)
            inside.write(offset, noise)
            expected[offset : offset + length] = noise
        inside.zero(3 * MIB + 5, 70_000)
        expected[3 * MIB + 5 : 3 * MIB + 70_005] = bytes(70_000)
        inside.flush()
        assert read(inside, 0, inside.size) == expected
    assert decrypted(path, key)[: len(expected)] == expected


def test_luks1_of_qemu_is_read_and_written(tmp_path, key, content):
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img is not installed")
    plain, path = tmp_path / "content.img", tmp_path / "disk.img"
    plain.write_bytes(content)
    secret = ["--object", f"secret,id=key,file={key}"]
    settings = ["-O", "luks", "-o", "key-secret=key,iter-time=100"]
    run("qemu-img", "convert", *secret, *settings, plain, path)
    with RawDevice.open(path, writable=True) as disk:
        volume = unlocked([disk])
        assert volume.partition.type.startswith("LUKS1, aes-")
        inside = volume.open([disk])
        assert read(inside, 0, inside.size) == content
        noise = os.urandom(100_000)
        inside.write(777_777, noise)
    back = tmp_path / "back.img"
    opened = f"driver=luks,key-secret=key,file.filename={path}"
    run("qemu-img", "convert", *secret, "--image-opts", opened, "-O", "raw", back)
    assert back.read_bytes() == content[:777_777] + noise + content[877_777:]


def test_luks1_of_cryptsetup_opens_with_every_slot(tmp_path, key):
    path, other = tmp_path / "disk.img", tmp_path / "other"
    other.write_bytes(os.urandom(4096))
    with open(path, "wb") as stream:
        stream.truncate(4 * MIB)
    force = ["-q", "--pbkdf-force-iterations", "1000", "--key-file", key]
    run("cryptsetup", "luksFormat", "--type", "luks1", *force, path)
    run("cryptsetup", "luksAddKey", *force, "--key-slot", "6", path, other)
    run("cryptsetup", "luksKillSlot", "-q", "--key-file", other, path, "0")
    with RawDevice.open(path) as disk:
        volumes = find_volumes([disk], [read_key_file(other)])
        assert volumes[1].size == 4 * MIB - 2 * MIB
        with pytest.raises(WrongKey):
            find_volumes([disk], [read_key_file(key)])


def test_any_of_several_keys_opens_any_slot(encrypted, tmp_path, key):
    path, other = encrypted(*FAST), tmp_path / "other"
    other.write_bytes(b"\0\xff\n second")
    run("cryptsetup", "luksAddKey", "-q", *FAST, "--key-file", key, path, other)
    with RawDevice.open(path) as disk:
        for keys in ([read_key_file(other)], [Secret(b"wrong"), Secret(PASSPHRASE)]):
            assert find_volumes([disk], keys)[1].mountable


def test_end_of_line_behind_a_passphrase_is_forgiven(encrypted):
    with RawDevice.open(encrypted(*FAST)) as disk:
        assert unlocked([disk], PASSPHRASE + b"\n").mountable
        with pytest.raises(WrongKey):
            unlocked([disk], PASSPHRASE + b"\n\n")


def test_without_a_key_it_is_told_what_to_do(encrypted):
    with RawDevice.open(encrypted(*FAST)) as disk:
        (volume,) = find_volumes([disk])
        assert volume.as_dict()["type"] == "whole disk, locked: luks_key_file opens it"
        with pytest.raises(InvalidRequest, match=r"crypto_LUKS.*luks_key_file opens it"):
            choose([volume], None)


def test_wrong_key_is_told_and_not_shown(encrypted):
    wrong = Secret(b"hunter2hunter2")
    with RawDevice.open(encrypted(*FAST)) as disk:
        with pytest.raises(WrongKey) as caught:
            find_volumes([disk], [wrong])
        shown = [str(caught.value), repr(caught.value.__dict__), repr(wrong), str(wrong)]
    assert not any("hunter2" in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(wrong)


def test_no_secret_is_shown_of_what_is_open(encrypted):
    path = encrypted(*FAST)
    with RawDevice.open(path) as disk:
        volume = unlocked([disk])
        device = volume.open([disk])
        volume_key = volume.source.key
        shown = repr((volume, device, vars(device), volume.as_dict()))
    for secret in (PASSPHRASE, volume_key, volume_key[:32]):
        assert repr(secret)[2:-1] not in shown and secret.hex() not in shown


def test_unlocked_partition_answers_to_its_number(encrypted, tmp_path):
    disk = on_partition(tmp_path, encrypted(*FAST))
    with RawDevice.open(disk) as device:
        volumes = find_volumes([device], [Secret(PASSPHRASE)])
        inside = choose(volumes, "1")
        assert inside is choose(volumes, None) is choose(volumes, "inside")
        container = volumes[0].filesystem.uuid
        assert inside is choose(volumes, container) is choose(volumes, f"luks-{container}")
        assert inside.as_dict()["number"] is None and inside.as_dict()["start"] is None


def on_partition(tmp_path, volume):
    path = tmp_path / "partitioned.img"
    with open(path, "wb") as stream:
        stream.truncate(24 * MIB)
        stream.seek(MIB)
        stream.write(volume.read_bytes())
    subprocess.run(
        ["sfdisk", "-q", path],
        input="label: gpt\nstart=2048,size=40960\n",
        text=True,
        check=True,
    )
    return path


def test_backup_header_is_used(encrypted):
    path = encrypted(*FAST)
    with open(path, "r+b") as stream:
        stream.seek(4096)
        stream.write(b"{")
        stream.write(bytes(100))
    with RawDevice.open(path) as disk:
        assert unlocked([disk]).mountable


def test_both_headers_damaged_is_told(encrypted):
    path = encrypted(*FAST)
    with open(path, "r+b") as stream:
        for copy in (4096, 0x4000 + 4096):
            stream.seek(copy)
            stream.write(bytes(100))
    with RawDevice.open(path) as disk:
        (volume,) = find_volumes([disk], [Secret(PASSPHRASE)])
    assert "the checksum does not fit" in volume.problem


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("segments", {"encryption": "serpent-xts-plain64"}, "serpent-xts-plain64"),
        ("segments", {"encryption": "capi:xts(aes)-plain64"}, "capi"),
        ("segments", {"integrity": {"type": "hmac(sha256)"}}, "hmac(sha256)"),
        ("segments", {"type": "hw-opal-crypt"}, "hw-opal"),
        ("keyslots", {"type": "luks3"}, "luks3"),
        ("digests", {"type": "argon2id"}, "argon2id"),
        ("segments", {"size": "12345"}, "damaged"),
        ("segments", {"offset": "-8388608"}, "damaged"),
        ("segments", {"sector_size": 0}, "damaged"),
        ("keyslots", {"area": {}}, "cannot be understood"),
        ("keyslots", {"kdf": {"type": "argon2d", "salt": ""}}, "argon2d"),
    ],
)
def test_what_is_not_known_here_is_explained(encrypted, part, change, told):
    """By cryptsetup's own words, in headers that it cannot write without device-mapper."""
    disk = MemoryDevice(encrypted(*FAST).read_bytes())
    rewrite_header(disk.content, lambda facts: facts[part]["0"].update(change))
    (volume,) = find_volumes([disk], [Secret(PASSPHRASE)])
    assert told in volume.problem and not volume.mountable


def test_unfinished_reencryption_is_explained(encrypted, key):
    path = encrypted(*FAST)
    words = ["--init-only", "--force-offline-reencrypt", "-q", "--key-file", key, *FAST]
    run("cryptsetup", "reencrypt", *words, path)
    with RawDevice.open(path) as disk:
        (volume,) = find_volumes([disk], [Secret(PASSPHRASE)])
    assert "--resume-only" in volume.problem


def test_read_only_access_writes_nothing(encrypted):
    path = encrypted(*FAST)
    before = path.read_bytes()
    with RawDevice.open(path) as disk:
        read(unlocked([disk]).open([disk]), 0, 4 * MIB)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", bytes((8 << 20) + 1)])
def test_what_is_no_key_file_is_refused(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="no key file"):
        read_key_file(path)


@pytest.mark.parametrize("change", [{"memory": 1 << 30}, {"time": 1 << 31}, {"cpus": 0}])
def test_header_that_asks_for_endless_work_is_refused(encrypted, change):
    disk = MemoryDevice(encrypted(*KINDS["argon2id"]).read_bytes())
    rewrite_header(disk.content, lambda facts: facts["keyslots"]["0"]["kdf"].update(change))
    (volume,) = find_volumes([disk], [Secret(PASSPHRASE)])
    assert "more work than any" in volume.problem


def rewrite_header(disk, change):
    """With a checksum that is right: whoever makes a hostile header can do that too."""
    size = int.from_bytes(disk[8:16], "big")
    facts = json.loads(disk[4096:size].split(b"\0")[0])
    change(facts)
    for start in (0, size):
        disk[start + 4096 : start + size] = json.dumps(facts).encode().ljust(size - 4096, b"\0")
        disk[start + 448 : start + 512] = bytes(64)
        digest = hashlib.sha256(disk[start : start + size]).digest()
        disk[start + 448 : start + 480] = digest
