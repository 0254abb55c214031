#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What antsibull-docs and ansible-doc find in the documentation of all plugins and in docs/docsite.
set -euo pipefail
export HOME=$PWD/.venv/.cache/home # antsibull-docs leaves a log file there
mkdir -p "$HOME"
cd .venv/collections/ansible_collections/vdisk/lifecycle
exec antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all .
