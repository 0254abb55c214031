#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# All checks that run nothing of ours. Every one is run, so that one round shows all there is to mend.
set -uo pipefail
failed=()

check() { # check NAME COMMAND…: quiet when all is well
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf 'lint: %-20s ok\n' "$name"
  else
    printf '%s\nlint: %-20s FAILED\n' "$output" "$name"
    failed+=("$name")
  fi
}

check "ruff check" ruff check .
check "ruff format" ruff format --check .
check mypy tests/tools/types.sh
check shellcheck shellcheck .ci/run tests/tools/*.sh
check yamllint yamllint --strict .
check ansible-lint tests/tools/ansible_lint.sh
check changelog antsibull-changelog lint
check documentation tests/tools/lint_docs.sh
check licences tests/tools/licences.sh

if ((${#failed[@]})); then
  echo "lint: failed: ${failed[*]}" >&2
  exit 1
fi
