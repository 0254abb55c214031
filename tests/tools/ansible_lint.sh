#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Settings: .ansible-lint. Its own cache goes to .ansible/, wherever it runs.
set -euo pipefail
export ANSIBLE_COLLECTIONS_PATH=$PWD/.venv/collections
exec ansible-lint --profile production --offline --strict -q --nocolor
