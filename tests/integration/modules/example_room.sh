# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# example_room.sh [WITHOUT…] -- COMMAND…
# Runs a command where /srv and /mnt hold just what the examples of the documentation speak of:
# a disk web01 with a labelled file system, its snapshots, a golden disk, and backups of web01.
# Called inside a mount namespace of its own; nothing of it is seen outside.
# shellcheck shell=bash
set -euo pipefail
without=" "
while [[ $1 != -- ]]; do
  without+="$1 "
  shift
done
shift

mount -t tmpfs room /srv
mount -t tmpfs room /mnt
trap leave EXIT

module() {
  local name=$1 answer
  answer=$(python -m "ansible_collections.vdisk.lifecycle.plugins.modules.$name" \
    "{\"ANSIBLE_MODULE_ARGS\": $2}") || { echo "example_room: $name: $answer" >&2; exit 1; }
}

leave() {
  local point
  for point in /mnt/*/; do
    [[ ! -d $point ]] || module vmdk_mount "{\"mount_point\": \"$point\", \"state\": \"unmounted\"}"
  done
}

mkdir -p /srv/keys && (umask 077 && head -c 32 /dev/urandom >/srv/keys/nightly)
mkdir -p /srv/vm /srv/images /srv/archive /srv/export /srv/files/etc
echo 'port = 443' >/srv/files/etc/app.conf
truncate --size=64M /srv/web01.img
echo 'start=2048, type=linux' | sfdisk --quiet --label gpt /srv/web01.img
mkfs.ext4 -q -L root -d /srv/files -E offset=1048576 /srv/web01.img 62M 2>/dev/null

module vmdk_clone '{"src": "/srv/web01.img", "dest": "/srv/vm/web01.vmdk"}'
module vmdk_clone '{"src": "/srv/vm/web01.vmdk", "dest": "/srv/vm/golden.vmdk"}'
module vmdk_clone '{"src": "/srv/vm/golden.vmdk", "dest": "/srv/vm/base.vmdk"}'
module vmdk_clone '{"src": "/srv/vm/base.vmdk", "dest": "/srv/vm/web01-000002.vmdk", "linked": true}'
if [[ $without != *" export "* ]]; then
  module vmdk_clone '{"src": "/srv/web01.img", "dest": "/srv/export/web01.vmdk"}'
fi
if [[ $without != *" backup "* ]]; then
  module vmdk_repository '{"url": "/srv/backup"}'
  module vmdk_backup '{"path": "/srv/vm/web01.vmdk", "repository": "/srv/backup", "name": "before-upgrade"}'
fi
rm -r /srv/files /srv/web01.img
"$@"
