#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# fuzz.sh TIME [TARGET…]: break each target of tests/fuzz/targets/ for so many seconds, or those named. What was
# learned is kept in .venv/.cache/fuzz/, so that the next run goes on from there. Stops at the first find.
set -uo pipefail
time=$1
shift
targets=("$@")
((${#targets[@]})) || targets=(descriptor sparse stream cowd sesparse chain)
export PYTHONPATH=tests:$PWD/.venv/collections

told() { # told LOG PATTERN: the last number that the log gives behind it
  grep -aoE "$2 *[0-9]+" "$1" | tail -n 1 | grep -oE '[0-9]+$'
}

for target in "${targets[@]}"; do
  folder=.venv/.cache/fuzz/$target
  log=$folder/log
  mkdir -p "$folder"
  result=ok
  python -m fuzz.run "$target" "$time" "$folder" >"$log" 2>&1 || result=FAILED
  grep -a '^fuzz: no atheris' "$log"
  runs=$(told "$log" 'Done|executed_units:')
  printf 'fuzz: %-10s %7s runs, coverage %5s, %s\n' "$target" "${runs:-?}" "$(told "$log" ' cov:')" "$result"
  if [[ $result == FAILED ]]; then
    input=$(grep -aoE 'Test unit written to .*' "$log" | tail -n 1 | cut -d ' ' -f 5)
    grep -aA 30 'Uncaught Python exception\|Traceback' "$log" | head -n 40
    echo "fuzz: the input is ${input:-not known, see $log}; to run it again:" >&2
    echo "fuzz: PYTHONPATH=tests:.venv/collections .venv/bin/python -m fuzz.run $target 0 - ${input:-INPUT}" >&2
    echo "fuzz: once it is mended, keep it as tests/fuzz/found/$target-WHAT.bin" >&2
    exit 1
  fi
done
