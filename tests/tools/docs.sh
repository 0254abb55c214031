#!/usr/bin/env bash
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The documentation of every plugin as HTML pages, as docs.ansible.com would show it.
set -euo pipefail
export HOME=$PWD/.venv/.cache/home # antsibull-docs leaves a log file there
mkdir -p "$HOME"
out=build/docs
rm -rf "$out"
mkdir -p "$out/rst"
antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --dest-dir "$out/rst" vdisk.lifecycle
cat >"$out/rst/conf.py" <<'CONF'
project = "vdisk.lifecycle"
html_title = project
html_theme = "alabaster"
html_theme_options = {"nosidebar": True, "body_max_width": "none", "page_width": "70em"}
extensions = ["sphinx_antsibull_ext"]
highlight_language = "YAML+Jinja"
# pages of Ansible itself that are not here
suppress_warnings = ["ref.ref"]
CONF
sphinx-build -q -b html "$out/rst" "$out/html"
echo "docs: $out/html/index.html"
