#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# bench.sh [NAME…] [-- OPTION…]: tests/benchmark/bench_NAME.py, or all of them, with these options. Each says what it
# measures. Peers that are not installed are left out.
set -euo pipefail
shopt -s nullglob
files=()
while (($#)) && [[ $1 != -- ]]; do
  files+=("tests/benchmark/bench_$1.py")
  shift
done
(($# == 0)) || shift
((${#files[@]})) || files=(tests/benchmark/bench_*.py)
# Peers that no test needs, so that bindep.txt does not know them.
if ! { command -v restic && command -v borg; } >/dev/null && ((EUID == 0)) && command -v apt-get >/dev/null; then
  apt-get install -y -qq restic borgbackup >/dev/null || echo "bench: restic and borg could not be installed"
fi
for file in "${files[@]}"; do
  echo "== $file"
  python "$file" "$@"
done
