# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in a real browser, where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.build import (
    ReportWish,
    make_report,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.page.page import (
    page_of,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.window_report import (
    nights,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--dump-dom",
    "--enable-logging=stderr",
    "--force-device-scale-factor=1",
]
LIGHT, DARK = 1, 0
# What a reader would measure: how wide it is, and how far each text stands out from what is behind.
PROBE = """<script>
const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number)
const bright = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0)
const behind = node => { for (; node; node = node.parentElement) {
  const c = parse(getComputedStyle(node).backgroundColor)
  if (c.length < 4 || c[3] > 0) return c
} }
const poor = []
for (const node of document.querySelectorAll('body *:not(svg *)')) {
  if (![...node.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue
  if (node.tagName == 'CAPTION') continue
  const both = [parse(getComputedStyle(node).color), behind(node)].map(bright)
  const [a, b] = both.sort((x, y) => x - y)
  if ((b + .05) / (a + .05) < 4.5) poor.push(node.className + ': ' + node.textContent)
}
const page = document.documentElement
const wide = [...document.querySelectorAll('main *')].filter(n => !n.closest('.wide'))
  .filter(n => n.getBoundingClientRect().right > innerWidth + 1).map(n => n.outerHTML.slice(0, 80))
parent.document.title = JSON.stringify({poor, wide, width: innerWidth, scroll: page.scrollWidth,
  scheme: getComputedStyle(page).getPropertyValue('--bg')})
</script>"""


def open_page(text, tmp_path, scheme, width):
    """(DOM, what the browser complains of)"""
    path = tmp_path / f"{scheme}-{width}.html"
    path.write_text(text)
    settings = [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
    settings.append(f"--blink-settings=preferredColorScheme={scheme}")
    command = [CHROMIUM, *QUIET, *settings, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def text():
    names = ["<img src=http://203.0.113.1/x>", "😀 " * 60, "w" * 200, *nights.names_of(12)]
    night = nights.Night(names=names)
    return page_of(make_report(ReportWish(night.events, vms=night.vms, points=night.points)))


@pytest.mark.parametrize(("scheme", "width"), [(LIGHT, 1280), (DARK, 400)])
def test_it_fits_can_be_read_and_is_quiet(text, tmp_path, scheme, width):
    """A request to anywhere, or a refused one, would be an error on the console."""
    probed = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    probed = html.escape(probed.replace("</body>", f"{PROBE}</body>"))
    # A window of the browser has a width that it does not fall below; a frame has not.
    probed = f'<iframe style="border:0" width="{width}" height="900" srcdoc="{probed}"></iframe>'
    _dom, complaints = open_page(text, tmp_path, scheme, width)
    assert complaints == []
    dom, _complaints = open_page(probed, tmp_path, scheme, width)
    found = json.loads(html.unescape(re.search("<title>(.*?)</title>", dom, re.DOTALL)[1]))
    assert found["scheme"].strip() == ("#f5f6f8" if scheme == LIGHT else "#11151b")
    assert found["width"] == width
    assert found["scroll"] <= width and found["wide"] == []
    assert found["poor"] == []


def test_a_page_that_reaches_out_would_be_noticed(text, tmp_path):
    spoilt = text.replace("</main>", '<img src="http://203.0.113.1/x.png"></main>')
    _dom, complaints = open_page(spoilt, tmp_path, LIGHT, 1280)
    assert any("203.0.113.1" in line for line in complaints)
