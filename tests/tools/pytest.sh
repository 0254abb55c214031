#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# pytest.sh unit|integration [ARGUMENT…]: first everything that can share the machine, on all cores; then, one by
# one, the tests marked serial. Both parts run even when the first fails. Results also go to .venv/.cache/reports/.
set -uo pipefail
part=$1
shift
folder=tests/$part
reports=.venv/.cache/reports
export PYTHONPATH=$PWD/.venv/collections
# Where CI is set, pytest lists every line by which two values differ: for two disks that takes hours.
export VDISK_CI=${CI:-}
unset CI
mkdir -p "$reports"
rm -f "$reports/$part".*.xml

if [[ -z $(find "$folder" -name 'test_*.py' -print -quit 2>/dev/null) ]]; then
  echo "$part: no tests in $folder yet"
  exit 0
fi

python -m pytest "$folder" -m 'not serial' -n auto --maxprocesses 4 --junitxml="$reports/$part.shared.xml" "$@"
shared=$?
serial=5
if grep -rqw 'mark\.serial' --include='*.py' "$folder"; then
  python -m pytest "$folder" -m serial -p no:xdist --junitxml="$reports/$part.serial.xml" "$@"
  serial=$?
fi

# 5: nothing was selected. Right for one half, wrong for both.
if ((shared == 5 && serial == 5)); then
  echo "$part: no test was selected by: $*" >&2
  exit 5
fi
((shared == 0 || shared == 5)) || exit "$shared"
((serial == 0 || serial == 5)) || exit "$serial"
