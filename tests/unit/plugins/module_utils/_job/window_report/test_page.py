# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: well-formed, alone, safe from names, and readable."""

from __future__ import annotations

import itertools
import re

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.build import (
    ReportWish,
    make_report,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.document import (
    document_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.metrics import (
    metrics_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.page import style
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.page.page import (
    page_of,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.window_report import (
    nights,
    reading,
)

HOSTILE = (
    "<script>alert('x')</script>",
    "\"onmouseover='alert(1)' x=\"",
    "</title></style><img src=http://evil.example/x>",
    "😀 gateway 🚀 &amp; &lt;b&gt;",
    "שרת דואר \u202e txt.exe",
    "a" * 200,
    "tab\tand\nline {{ lookup('pipe', 'id') }}",
)


def wish_of(night, **more):
    skipped = [{"name": "template", "moref": "vm-1", "reason": "it is a template"}]
    return ReportWish(night.events, vms=night.vms, points=night.points, skipped=skipped, **more)


@pytest.fixture(scope="module")
def sixty():
    night = nights.Night(60)
    document = document_of(make_report(wish_of(night)))
    findings = [{"severity": "error", "object": "packs/63", "message": "bad", "how": "Mend it."}]
    return make_report(
        wish_of(
            night,
            earlier=nights.earlier_than(document),
            verify={"ok": False, "findings": findings},
            prune={"kept": 1700, "dropped": 60, "collected": {"deleted_bytes": 5 << 30}},
        )
    )


@pytest.fixture(scope="module")
def page(sixty):
    return reading.Page(page_of(sixty)).root


def test_nothing_is_fetched_from_anywhere(sixty):
    text = page_of(sixty)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<iframe|<object|\son\w+=", text)
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {"#failed", "#lost", "#left"}
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert f'content="{policy}"'.replace("'", "&#x27;") in text


def test_whoever_does_not_see_it_can_read_it(page):
    assert page.one("html").attributes["lang"] == "en"
    levels = [int(each.tag[1]) for each in page.all() if re.fullmatch("h[1-6]", each.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in page.all("table"):
        assert table.one("caption").text
    assert {each.attributes.get("scope") for each in page.all("th")} == {"col", "row"}
    for svg in page.all("svg"):
        named = any(each.tag == "title" and each.text for each in svg.children)
        assert named or svg.attributes.get("aria-hidden") == "true"
    assert len(list(page.all("desc"))) == 4


def test_ids_are_unique_and_every_reference_leads_somewhere(page):
    ids = [each.attributes["id"] for each in page.all() if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    for each in page.all():
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(each.attributes.get(name, "").split()) <= set(ids)
        if each.tag == "a":
            assert each.attributes["href"].removeprefix("#") in ids


def test_states_are_told_without_colours(page):
    assert {each.text for each in page.all("span", class_="badge")} == {"✓", "✕", "!", "–"}
    timeline = page.one("svg", class_="timeline")
    for kind, mark in (("failed", "path"), ("lost", "text")):
        assert all(list(each.all(mark)) for each in timeline.all("g", class_=kind))
        assert page.one("pattern", id=kind)


def test_what_to_do_is_there(page):
    cards = list(page.all("article"))
    assert len(cards) == 1 and nights.WRITERS in cards[0].text
    assert "look at the machine and its datastores first" in cards[0].text
    assert nights.TOOLS in page.one("section", id="concerns").text
    assert "Mend it." in page.one("section", id="afterwards").text
    assert "5.0 GiB" in page.one("section", id="afterwards").text


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_names_are_only_names(number):
    """Wherever a machine, a host, a message or a title stands."""
    name = HOSTILE[number]
    night = nights.Night(names=[name, *HOSTILE, "db01"])
    for vm in night.vms:
        vm["concerns"] = [f"{name} has a concern"]
    for event in night.events:
        event["message"] = f"{name} broke"
    wish = wish_of(night, title=name, verify={"ok": False, "message": name})
    report = make_report(wish)
    page = reading.Page(page_of(report)).root
    allowed = {
        each.tag for each in reading.Page(page_of(make_report(wish_of(nights.Night(9))))).root.all()
    }
    assert {each.tag for each in page.all()} <= allowed
    assert not [key for each in page.all() for key in each.attributes if key.startswith("on")]
    table = page.one("table", class_="machines")
    assert name in [each.text for each in table.all("bdi")]
    assert page.one("h1").text == name
    found = reading.metrics_in(metrics_of(report, name))
    assert any(("machine", name) in labels for _name, labels in found)


def test_control_characters_and_half_letters_do_not_break_it():
    night = nights.Night(names=["a\x00b\ud800c\x1b[31m", "b", "c"], trouble=False)
    text = page_of(make_report(wish_of(night)))
    assert "a\ufffdb\ufffdc\ufffd[31m" in text
    text.encode()


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_there_is_enough_contrast(colours):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for front, back in style.PAIRS:
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
    for front, back in style.SHAPES:
        assert contrast(colours[front], colours[back]) >= 3, (front, back)


def test_every_colour_has_two_themes_and_a_use():
    used = set(re.findall(r"var\(--([a-z-]+)\)", style.style()))
    assert used == set(style.LIGHT) == set(style.DARK)


def test_a_thousand_machines_are_readable():
    night = nights.Fleet(1000)
    text = page_of(make_report(wish_of(night)))
    assert len(text.encode()) < 3_000_000
    page = reading.Page(text).root
    folded = {id(row) for own in page.all("details") for row in own.all("tr")}
    shown = [row for row in page.all("tr") if id(row) not in folded]
    assert len(shown) < 250
    assert len(list(page.one("table", class_="machines").all("tr"))) == 1002


def test_an_empty_window_is_a_page_too():
    night = nights.Night(0, trouble=False)
    text = page_of(make_report(ReportWish(night.events)))
    reading.Page(text)
    assert "No machine was selected." in text


def test_the_same_night_gives_the_same_page():
    assert page_of(make_report(wish_of(nights.Night(9)))) == page_of(
        make_report(wish_of(nights.Night(9)))
    )


def test_a_window_that_left_all_of_them_out_is_not_called_well():
    night = nights.Night(3, trouble=False)
    skipped = [{**{key: vm[key] for key in ("name", "moref")}, "reason": "x"} for vm in night.vms]
    plan = {**night.plan, "slots": []}
    events = [{**night.events[0], "plan": plan}]
    text = page_of(make_report(ReportWish(events, vms=night.vms, skipped=skipped)))
    status = reading.Page(text).root.one("div", class_="status").text
    assert status == "–Nothing was done"
