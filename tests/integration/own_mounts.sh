#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# own_mounts.sh COMMAND…: with mounts of its own, which nobody outside sees.
# Not those of other tests: in a copy they would stay mounted, and the tests wait for their disks to be closed.
set -euo pipefail
if [[ ${1-} != --own ]]; then
  exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" --own "$@"
fi
shift
points=$(awk '$5 ~ "/pytest-" {print $5}' /proc/self/mountinfo)
for point in $points; do
  umount --lazy "$point" 2>/dev/null || true # gone with one above it
done
exec "$@"
