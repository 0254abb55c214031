# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every number of a report is counted again here, from the lines of the log."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.log import Log
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
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.page.page import (
    page_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.times import parse_time
from ansible_collections.vdisk.lifecycle.tests.examples import examples
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.window_report import (
    nights,
    reading,
)

START = nights.START
HOSTS, STORES, PROXIES = ("esx1", "esx2", ""), ("ds1", "ds2"), ("p1", "p2", "p3")
BYTES = ("size", "bytes_read", "bytes_new", "added")


@st.composite
def plans(draw):
    rows = [
        {
            "name": draw(st.sampled_from((f"vm{n}", '<b>"vm&', "шлюз", "a\nb"))),
            "moref": f"vm-{n}",
            "host": draw(st.sampled_from(HOSTS)),
            "datastores": sorted(draw(st.sets(st.sampled_from(STORES)))),
            "proxies": ["p1", "p2"],
            "seconds": draw(st.integers(30, 9000)),
            "age": draw(st.none() | st.integers(0, 10**6)),
        }
        for n in range(draw(st.integers(0, 6)))
    ]
    cut = draw(st.integers(0, len(rows)))
    planned = {"proxy": "p1", "start": "2026-11-23T22:00:00Z", "end": "2026-11-23T23:00:00Z"}
    left = {"reason": "no room", "never": draw(st.booleans()), "missed": draw(st.integers(1, 9))}
    return {
        "start": "2026-11-23T22:00:00Z",
        "deadline": "2026-11-24T05:00:00Z",
        "slots": [{**row, **planned, "basis": "its size"} for row in rows[:cut]],
        "left": [{**row, **left} for row in rows[cut:]],
        "limits": {"host": 4, "repository": 0, "hosts": {}, "proxies": {"p1": 2, "p2": 2}},
    }


@st.composite
def logs(draw):
    """(plan, events), also of windows that went as none should."""
    plan = draw(plans())
    events = [{"event": "open", "at": START + 1.5, "plan": plan}]
    ids = [row["moref"] for row in (*plan["slots"], *plan["left"])]
    now = START + 2
    for _number in range(draw(st.integers(0, 14)) if ids else 0):
        now += draw(st.sampled_from((0, 0.25, 61, 3600)))
        event = {"at": now, "moref": draw(st.sampled_from(ids))}
        event["proxy"] = draw(st.sampled_from(PROXIES))
        event["event"] = draw(st.sampled_from(("start", "start", "end", "end", "lost", "open")))
        if event["event"] == "open":
            event["plan"] = plan
        if event["event"] == "end":
            event |= draw(outcomes)
        events.append(event)
    return plan, events


outcomes = st.fixed_dictionaries(
    {"ok": st.booleans()},
    optional={
        **{name: st.none() | st.integers(0, 1 << 45) for name in BYTES},
        "seconds": st.integers(0, 9999) | st.just("17"),
        "message": st.sampled_from(("", "<img src=x> went wrong", "it broke")),
        "warnings": st.lists(st.just("beware"), max_size=2),
    },
)


def tries_of(events, moref):
    """[(start, what ended it or None)] of one machine."""
    own, found = [each for each in events if each.get("moref") == moref], []
    for event in own:
        if event["event"] == "start":
            found.append([event, None])
        elif event["event"] in ("end", "lost") and found and found[-1][1] is None:
            found[-1][1] = event
    return found


def is_good(tried):
    return tried[1] is not None and tried[1]["event"] == "end" and tried[1]["ok"]


def expected_totals(plan, events):
    rows = (*plan["slots"], *plan["left"])
    tries = {row["moref"]: tries_of(events, row["moref"]) for row in rows}
    good = {m: next(filter(is_good, own)) for m, own in tries.items() if any(map(is_good, own))}
    ends = [each for own in tries.values() for each in own]
    last = max([e["at"] for e in events if e["event"] != "open"] or [events[0]["at"]])
    took = {
        m: float(end.get("seconds", end["at"] - start["at"])) for m, (start, end) in good.items()
    }
    return {
        "selected": len(rows),
        "planned": len(plan["slots"]),
        "done": len(good),
        "failed": sum(bool(own) and m not in good for m, own in tries.items()),
        "left": sum(not own for own in tries.values()),
        "skipped": 0,
        "measured": len(rows),
        "lost": sum(end is None or end["event"] == "lost" for _start, end in ends),
        **{name: sum(end.get(name) or 0 for _start, end in good.values()) for name in BYTES},
        "seconds": round(last - events[0]["at"]),
        "work_seconds": round(sum(took.values())),
        "expected_seconds": round(sum(row["seconds"] for row in rows if row["moref"] in good)),
        "within_rpo": sum(last - start["at"] < 86400 for start, _end in good.values()),
    }


def most_at_a_time(plan, events):
    """By looking at who runs after each event."""
    rows = {row["moref"]: row for row in (*plan["slots"], *plan["left"])}
    most = Counter()
    for cut in range(1, len(events) + 1):
        now = Counter()
        for moref, row in rows.items():
            own = tries_of(events[:cut], moref)
            if own and own[-1][1] is None:
                now.update([("repository", ""), ("proxies", own[-1][0]["proxy"])])
                now.update([("hosts", row["host"])] if row["host"] else [])
                now.update(("datastores", name) for name in row["datastores"])
        most |= now
    return most


@given(logs())
@settings(max_examples=examples(150))
def test_the_report_says_what_the_log_says(night):
    plan, events = night
    report = make_report(ReportWish(events, points=()))
    document = document_of(report)
    totals = document["totals"]
    assert totals == expected_totals(plan, events)
    status = "failed" if totals["failed"] else "incomplete" if totals["left"] else "ok"
    assert (document["status"], document["trend"]) == (
        status,
        [{"name": "Backup window", "start": plan["start"], "status": status, **totals}],
    )
    require_machines(document, plan, events)
    require_peaks(document, most_at_a_time(plan, events))
    require_proxies(document, events)
    told = list(map(int, re.findall(r"\d+", document["headline"])))
    count = [totals["done"], totals["selected"]][totals["done"] == totals["selected"] :]
    bad = [totals[key] for key in ("failed", "left") if totals[key]]
    assert told == [*(count if totals["selected"] > 1 else []), *bad]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def require_machines(document, plan, events):
    rows = (*plan["slots"], *plan["left"])
    for row, machine in zip(rows, document["machines"], strict=True):
        tries = tries_of(events, row["moref"])
        ends = [end for _start, end in tries]
        assert [each["proxy"] for each in machine["tries"]] == [s["proxy"] for s, _end in tries]
        assert [each["ok"] for each in machine["tries"]] == [is_good(each) for each in tries]
        assert [each["lost"] for each in machine["tries"]] == [
            end is None or end["event"] == "lost" for end in ends
        ]
        good = [end for each, end in zip(tries, ends, strict=True) if is_good(each)]
        assert machine["state"] == ("done" if good else "failed" if tries else "left")
        assert bool(machine["message"]) == (not good)
        assert (machine["size"] if good else None) == (good[0].get("size") if good else None)
        assert document["missed"].get(row["moref"], 0) == (0 if tries else row.get("missed", 1)), (
            machine
        )


def require_peaks(document, most):
    peaks = document["peaks"]
    assert peaks["repository"] == most["repository", ""]
    for kind in ("hosts", "datastores", "proxies"):
        assert peaks[kind] == {name: count for (k, name), count in most.items() if k == kind}


def require_proxies(document, events):
    ids = {each["moref"] for each in document["machines"]}
    tries = [each for moref in ids for each in tries_of(events, moref)]
    last = parse_time(document["closed"], "closed")
    for proxy in document["proxies"]:
        own = [each for each in tries if each[0]["proxy"] == proxy["name"]]
        done = sum(
            m["proxy"] == proxy["name"] and m["state"] == "done" for m in document["machines"]
        )
        assert (proxy["done"], proxy["lost"]) == (
            done,
            sum(end is None or end["event"] == "lost" for _start, end in own),
        )
        if all(end for _start, end in own):
            busy = sum(end["at"] - start["at"] for start, end in own)
            assert abs(proxy["busy_seconds"] - busy) <= 1, last
    assert {each[0]["proxy"] for each in tries} <= {each["name"] for each in document["proxies"]}


@given(logs(), st.lists(st.integers(-40 * 86400, 9 * 3600), max_size=12), st.integers(1, 60))
@settings(max_examples=examples(60))
def test_the_page_and_the_metrics_say_the_same(night, ages, hours):
    plan, events = night
    vms = [
        {"name": row["name"], "moref": row["moref"], "disks": []}
        for row in (*plan["slots"], *plan["left"])
    ]
    points = [
        {"source": {"kind": "vm", "moref": vm["moref"]}, "created": nights.to_text(START + age)}
        for vm, age in zip(vms * 12, ages, strict=False)
    ]
    wish = ReportWish(events, vms=vms, points=points, rpo=hours * 3600.0)
    report = make_report(wish)
    document = document_of(report)
    page = reading.Page(page_of(report)).root
    require_tiles(page, document)
    require_bars(page, document)
    require_heat(page, document, points)
    require_metrics(reading.metrics_in(metrics_of(report, "nightly")), document)


def require_tiles(page, document):
    totals = document["totals"]
    told = [each.texts[0] for each in page.all("dd")]
    assert told[:2] == [
        f"{totals['done']} of {totals['selected']}",
        f"{totals['within_rpo']} of {totals['measured']}",
    ]
    assert page.one("section", class_="verdict").one("h2").text.strip() == document["headline"]


def require_bars(page, document):
    drawn = [each for each in page.all("svg") if "timeline" in each.attributes.get("class", "")]
    bars = Counter(
        kind
        for svg in drawn
        for kind in ("done", "failed", "lost")
        for _bar in svg.all("g", class_=kind)
    )
    tries = [tried for machine in document["machines"] for tried in machine["tries"]]
    assert bars == Counter(
        "done" if each["ok"] else "lost" if each["lost"] else "failed" for each in tries
    )


def require_heat(page, document, points):
    """Each cell from the times of the points and of good tries, one by one."""
    tables = list(page.all("table", class_="heat"))
    assert bool(tables) == bool(document["machines"])
    rows = Counter()
    for row in (each for table in tables for each in list(table.all("tr"))[2:]):
        rows[row.one("th").text, "".join(cell.text for cell in row.all("td"))] += 1
    expected = Counter(
        (each["name"], "".join(heat_of(each, document, points))) for each in document["machines"]
    )
    assert rows == expected


def heat_of(machine, document, points):
    made = [
        parse_time(each["created"], "created")
        for each in points
        if each["source"]["moref"] == machine["moref"]
    ]
    good = [parse_time(t["start"], "start") for t in machine["tries"] if t["ok"]]
    made += [start for start in good[:1] if not any(each >= start - 1 for each in made)]
    last = max(parse_time(document[key], key) for key in ("deadline", "closed"))
    for back in range(29, -1, -1):
        when = last - back * 86400
        before = [each for each in made if each <= when]
        if before:
            times = int((when - max(before)) // machine["rpo"])
            yield "·" if times == 0 else str(times) if times < 10 else "+"
        elif back == 0:
            yield "×" if not made else "·"
        else:
            yield "–"


def require_metrics(found, document):
    totals, own = document["totals"], ("window", "nightly")
    for key, name in (("size", "size"), ("bytes_read", "read"), ("added", "stored")):
        assert found[f"vdisk_window_{name}_bytes", frozenset([own])] == totals[key]
    for state in ("done", "failed", "left", "skipped"):
        labels = frozenset([own, ("state", state)])
        assert found["vdisk_window_machines", labels] == totals[state]
    for status in ("ok", "incomplete", "failed"):
        labels = frozenset([own, ("status", status)])
        assert found["vdisk_window_status", labels] == (document["status"] == status)
    for machine in document["machines"]:
        labels = frozenset([own, ("machine", machine["name"]), ("moref", machine["moref"])])
        last = parse_time(machine["newest"], "newest") if machine["newest"] else 0
        told = found["vdisk_window_machine_last_success_timestamp_seconds", labels]
        assert int(told) == last
        assert found["vdisk_window_machine_done", labels] == (machine["state"] == "done")


@given(logs(), st.lists(st.tuples(st.integers(1, 99), st.integers(0, 60)), max_size=4))
@settings(max_examples=examples(40))
def test_torn_lines_are_left_out(tmp_path_factory, night, tears):
    """What a crash tore is what a crash tore; all other lines count."""
    _plan, events = night
    lines = [json.dumps(event).encode() for event in events]
    for place, cut in tears:
        at = 1 + place % len(lines)
        lines.insert(at, lines[at - 1][: min(cut, len(lines[at - 1]) - 1)])
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(b"\n".join(lines) + b'\n{"event": "sta')
    with Log(str(path)).locked() as log:
        read = log.events()
    assert document_of(make_report(ReportWish(read))) == document_of(
        make_report(ReportWish(events))
    )


def test_what_was_never_opened_is_refused():
    with pytest.raises(InvalidRequest, match="not opened"):
        make_report(ReportWish([{"event": "start", "at": 1.0, "moref": "vm-1", "proxy": "p1"}]))
