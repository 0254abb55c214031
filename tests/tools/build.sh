#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Build the collection to dist/. `ansible-galaxy` packs whatever lies about: the result is compared with git's list.
set -euo pipefail
packed=$(ansible-galaxy collection build --force --output-path dist | sed -n 's/^Created collection for .* at //p')
strangers=$(comm -23 \
  <(tar tzf "$packed" | grep -v -e '/$' -e '^MANIFEST.json$' -e '^FILES.json$' | sort) \
  <(git -c safe.directory="$PWD" ls-files --cached --others --exclude-standard | sort))
if [[ -n $strangers ]]; then
  printf 'build: %s holds files that are not part of the project; name them in build_ignore of galaxy.yml:\n%s\n' \
    "$packed" "$strangers" >&2
  rm -f "$packed"
  exit 1
fi
echo "build: $packed, $(tar tzf "$packed" | grep -vc '/$') files, $(stat -c %s "$packed") bytes"
