# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# example_room.sh PATTERN [WITHOUT…] -- COMMAND…
# Runs a command where /srv and /mnt hold just what the examples of the documentation speak of:
# a disk web01 with a labelled file system, its snapshots, a golden disk, and backups of web01.
# Called inside a mount namespace of its own; nothing of it is seen outside but PATTERN, a folder
# that the first call makes for those after it: what /srv holds.
# shellcheck shell=bash
set -euo pipefail
pattern=$1
shift
without=()
while [[ $1 != -- ]]; do
  without+=("$1")
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

furnish() {
  mkdir -p /srv/keys && (umask 077 && head -c 32 /dev/urandom >/srv/keys/nightly)
  mkdir -p /srv/vm /srv/images /srv/archive /srv/export /srv/files/etc
  echo 'port = 443' >/srv/files/etc/app.conf
  echo 'LABEL=root / ext4 defaults 0 1' >/srv/files/etc/fstab
  truncate --size=64M /srv/web01.img
  echo 'start=2048, type=linux' | sfdisk --quiet --label gpt /srv/web01.img
  mkfs.ext4 -q -L root -d /srv/files -E offset=1048576 /srv/web01.img 62M 2>/dev/null

  module vmdk_clone '{"src": "/srv/web01.img", "dest": "/srv/vm/web01.vmdk"}'
  module vmdk_clone '{"src": "/srv/vm/web01.vmdk", "dest": "/srv/vm/golden.vmdk"}'
  module vmdk_clone '{"src": "/srv/vm/golden.vmdk", "dest": "/srv/vm/base.vmdk"}'
  module vmdk_clone '{"src": "/srv/vm/base.vmdk", "dest": "/srv/vm/web01-000002.vmdk", "linked": true}'
  module vmdk_clone '{"src": "/srv/web01.img", "dest": "/srv/export/web01.vmdk"}'
  module vmdk_repository '{"url": "/srv/backup"}'
  module vmdk_backup '{"path": "/srv/vm/web01.vmdk", "repository": "/srv/backup", "name": "before-upgrade"}'
  mkdir -m 755 /srv/clamav
  echo 'Nothing-Real:0:*:6e6f626f647920686173207468697320696e2061206469736b' >/srv/clamav/local.ndb
  # a guest that can be started, where there are the tools to build it
  if python -m ansible_collections.vdisk.lifecycle.tests.guests.tiny /srv/guest01.img; then
    module vmdk_backup '{"path": "/srv/guest01.img", "repository": "/srv/backup"}'
    rm /srv/guest01.img
  fi
  rm -r /srv/files /srv/web01.img
}

if [[ ! -d $pattern ]]; then
  furnish
  cp -a /srv "$pattern.making"
  mv "$pattern.making" "$pattern"
else
  cp -a "$pattern/." /srv
fi
for name in "${without[@]}"; do
  rm -r "/srv/$name"
done
"$@"
