#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Write requirements-dev.txt anew. `--universal`: one file for every Python from 3.12 on.
set -euo pipefail
new=$(mktemp)
trap 'rm -f "$new"' EXIT
cat >"$new" <<'HEAD'
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Written by `make lock` out of requirements-dev.in; not to be edited. Holds for Python 3.12 and later.
HEAD
uv pip compile --quiet --universal --python-version 3.12 --no-annotate --no-header requirements-dev.in >>"$new"
cat "$new" >requirements-dev.txt
echo "lock: $(grep -c == requirements-dev.txt) packages; make env installs them"
