#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# bench.sh [NAME…]: tests/benchmark/bench_NAME.py, or all of them. Each says what it measures.
set -euo pipefail
shopt -s nullglob
files=("${@/#/tests/benchmark/bench_}")
if (($#)); then files=("${files[@]/%/.py}"); else files=(tests/benchmark/bench_*.py); fi
((${#files[@]})) || echo "bench: nothing in tests/benchmark yet"
for file in "${files[@]}"; do
  echo "== $file"
  python "$file"
done
