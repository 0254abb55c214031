#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# pytest.sh unit|integration [ARGUMENT…]: what can share the machine on all cores, and beside it, one by one, the tests
# marked serial. Both parts run even when the first fails. Results also go to .venv/.cache/reports/.
set -uo pipefail
part=$1
shift
folder=tests/$part
reports=.venv/.cache/reports
export PYTHONPATH=$PWD/.venv/collections
# Where CI is set, pytest lists every line by which two values differ: for two disks that takes hours.
export VDISK_CI=${CI:-} VDISK_SHARE
unset CI
# Which share of the cases a build takes: another for each change, and for the same files always the same.
files=$(git rev-parse --quiet --verify 'HEAD^{tree}' || echo 0)
VDISK_SHARE=$((16#${files:0:7}))
# Tests hold whole disks in memory. To give that back each time, and fault it in again, costs them half their time
# in the system.
export GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=268435456
mkdir -p "$reports"
rm -f "$reports/$part".*.xml

if [[ -z $(find "$folder" -name 'test_*.py' -print -quit 2>/dev/null) ]]; then
  echo "$part: no tests in $folder yet"
  exit 0
fi

serial=5 one_by_one=$(mktemp)
trap 'rm -f "$one_by_one"' EXIT
if grep -rqw 'mark\.serial' --include='*.py' "$folder"; then
  python -m pytest "$folder" -m serial -p no:xdist --junitxml="$reports/$part.serial.xml" "$@" >"$one_by_one" 2>&1 &
  serial=$!
fi
# With the one above one more than there are cores: many tests wait for others.
workers=$(($(nproc) < 4 ? $(nproc) : 4))
python -m pytest "$folder" -m 'not serial' -n "$workers" --junitxml="$reports/$part.shared.xml" "$@"
shared=$?
if ((serial != 5)); then
  wait "$serial"
  serial=$?
  cat "$one_by_one"
fi

# 5: nothing was selected. Right for one half, wrong for both.
if ((shared == 5 && serial == 5)); then
  echo "$part: no test was selected by: $*" >&2
  exit 5
fi
((shared == 0 || shared == 5)) || exit "$shared"
((serial == 0 || serial == 5)) || exit "$serial"
