#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# mypy has to see every file under its full name, ansible_collections.vdisk.lifecycle.…, or the engine's relative
# imports and the modules' absolute ones would give it two copies of each class. Settings: pyproject.toml.
set -euo pipefail
root=$PWD
cd .venv/collections
shopt -s globstar nullglob
plugins=ansible_collections/vdisk/lifecycle/plugins
files=("$plugins"/module_utils/**/*.py "$plugins"/modules/*.py "$plugins"/plugin_utils/*.py
  "$plugins"/{action,callback,connection,filter,inventory,lookup}/*.py)
((${#files[@]})) || exit 0
# Not through PYTHONPATH: what comes from there counts as installed, and is not checked.
unset PYTHONPATH
MYPYPATH=$PWD exec mypy --config-file "$root/pyproject.toml" --cache-dir "$root/.venv/.cache/mypy" "${files[@]}"
