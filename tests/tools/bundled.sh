#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# bundled.sh COMMAND…: all playbooks that it runs share the bundles of modules. See callback/shared_bundles.py.
set -uo pipefail
VDISK_BUNDLES=$(mktemp --directory --tmpdir vdisk-bundles-XXXXXX)
export VDISK_BUNDLES ANSIBLE_CALLBACK_PLUGINS=$PWD/tests/tools/callback
trap 'rm -rf "$VDISK_BUNDLES"' EXIT
"$@"
