#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# REUSE check of the files that git has or would take: `reuse` itself also looks at byte code in new folders.
set -euo pipefail
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
python tests/tools/tree.py "$copy"
reuse --root "$copy" lint --lines
