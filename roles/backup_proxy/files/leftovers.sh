#!/bin/sh
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Journals of jobs that died: the first line of each, which says what the job was. Living ones hold a lock. Where that line
# is torn, nothing was made yet.
for journal in "${VDISK_STATE_DIR:-/var/lib/vdisk-lifecycle/jobs}"/*.journal; do
  [ -e "$journal" ] || continue
  flock --shared --nonblock "$journal" grep -m 1 '"purpose".*}$' "$journal"
done
exit 0
