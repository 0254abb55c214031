# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How the page looks. Python, since nothing else travels with a module.

One accent; trouble has two more colours, and always a sign, a letter or a pattern besides.
"""

from __future__ import annotations

LIGHT = {
    "bg": "#f5f6f8",
    "card": "#ffffff",
    "ink": "#18202c",
    "quiet": "#566071",
    "line": "#dde2ea",
    "accent": "#2355a4",
    "soft": "#e3ecf9",
    "on": "#ffffff",
    "plan": "#a9b6ca",
    "bad": "#ad2118",
    "bad-soft": "#fbe6e4",
    "warn": "#855000",
    "warn-soft": "#fbeed5",
}
DARK = {
    "bg": "#11151b",
    "card": "#191f28",
    "ink": "#e7ebf1",
    "quiet": "#9ea9b9",
    "line": "#2c3542",
    "accent": "#82aef5",
    "soft": "#20304a",
    "on": "#0c1524",
    "plan": "#5a6a84",
    "bad": "#ff8d82",
    "bad-soft": "#45201f",
    "warn": "#efb55b",
    "warn-soft": "#3d2e19",
}
# Text and what it stands on; everywhere at least 4.5 to 1 (WCAG 2.2, 1.4.3).
PAIRS = (
    *(("ink", back) for back in ("bg", "card", "soft", "bad-soft", "warn-soft")),
    *(("quiet", back) for back in ("bg", "card", "soft")),
    ("accent", "card"),
    ("accent", "bg"),
    ("on", "accent"),
    ("on", "bad"),
    ("on", "warn"),
    ("bad", "card"),
    ("bad", "bad-soft"),
    ("warn", "card"),
    ("warn", "warn-soft"),
)
# What has to be told from what is beside it; at least 3 to 1 (1.4.11).
SHAPES = (("accent", "card"), ("accent", "bg"), ("bad", "bad-soft"), ("warn", "warn-soft"))


def style() -> str:
    return (
        f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
        f"{_RULES}"
        f"@media print{{:root{{color-scheme:light;{_variables(LIGHT)}}}\n{_PRINT}}}\n"
    )


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
main,header,footer,nav{max-width:1200px;margin:0 auto;padding:0 24px}
header{padding-top:40px}
h1{font-size:19px;font-weight:600;margin:0}
h2{font-size:19px;font-weight:600;letter-spacing:-.005em;margin:0 0 4px}
h3{font-size:15px;font-weight:600;margin:24px 0 12px}
h3 .badge{margin-right:5px;vertical-align:-1px}
h4{font-size:15px;font-weight:600;margin:0 0 8px}
p{margin:0 0 12px;max-width:82ch}
small{display:block;font-size:13px;font-weight:400;color:var(--quiet)}
a{color:var(--accent);text-underline-offset:3px}
.quiet,.period{color:var(--quiet)}
.strong{font-weight:600}
.defs{position:absolute}
main>nav{margin-top:20px;font-size:14px;padding:0 4px}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 20px;margin:0;padding:0}
main>section{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:24px 28px 28px;margin:20px 0}
.verdict{border-left-width:6px;margin-top:16px}
.verdict.ok{border-left-color:var(--accent)}
.verdict.failed{border-left-color:var(--bad)}
.verdict.incomplete{border-left-color:var(--warn)}
.verdict h2{font-size:30px;line-height:1.22;letter-spacing:-.015em;margin:8px 0 8px}
.verdict h2 span{display:inline-block}
.status{display:inline-flex;align-items:center;gap:8px;font-weight:600;font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:20px 28px;
margin:24px 0 0;
padding:20px 0 0;border-top:1px solid var(--line)}
.tiles div{margin:0}
.tiles dt{font-size:13px;color:var(--quiet)}
.tiles dd{margin:0;font-size:23px;font-weight:600;letter-spacing:-.01em;line-height:1.3}
.tiles small{letter-spacing:0;line-height:1.4}
.badge{display:inline-flex;align-items:center;justify-content:center;width:20px;height:20px;
border-radius:50%;font-size:12px;
font-weight:700;line-height:1;flex:none;background:var(--soft);color:var(--accent)}
.badge.failed{background:var(--bad);color:var(--on);border-radius:4px}
.badge.left{background:var(--warn);color:var(--on);border-radius:4px}
.badge.skipped{background:transparent;color:var(--quiet);border:1.5px solid var(--quiet)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px;
margin-bottom:16px}
.card{border:1px solid var(--line);border-left:4px solid var(--bad);border-radius:8px;
padding:16px 20px;min-width:0}
.card ol,.card ul{margin:0;padding-left:20px}
.card li{margin:2px 0}
.card p{margin:0}
.card .label{font-size:13px;font-weight:600;margin:10px 0 2px}
figure{margin:0}
.wide{overflow-x:auto;max-width:100%}
.wide:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--accent);
outline-offset:2px}
svg{display:block;max-width:100%}
svg text{font-size:11px;fill:var(--ink);font-family:inherit}
.timeline{width:100%;min-width:900px}
.timeline .band{fill:var(--bg)}
.grid{stroke:var(--line);stroke-width:1}
svg .tick{text-anchor:middle;fill:var(--quiet)}
svg .tick.start{text-anchor:start}
svg .tick.end{text-anchor:end}
svg .scale{fill:var(--quiet)}
svg .tick.strong{font-weight:600}
svg .proxy{text-anchor:end;font-size:12px;font-weight:600}
.plan rect{fill:var(--plan)}
.done rect{fill:var(--accent)}
.failed rect{fill:url(#failed);stroke:var(--bad);stroke-width:1}
.lost rect{fill:url(#lost);stroke:var(--bad);stroke-width:1;stroke-dasharray:3 2}
.left rect{fill:url(#left);stroke:var(--warn);stroke-width:1}
.badback{fill:var(--bad-soft)}
.warnback{fill:var(--warn-soft)}
.hatchline{stroke:var(--bad);stroke-width:1.3}
.dot{fill:var(--warn)}
.mark{stroke:var(--bad);stroke-width:2.2;fill:none;stroke-linecap:round}
.markback{fill:var(--card)}
svg .marktext{fill:var(--bad);font-weight:700;text-anchor:middle;font-size:12px}
svg .inside{fill:var(--on);pointer-events:none}
.deadline{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:5 3}
svg .deadlinetext{text-anchor:end;font-weight:600}
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;font-size:13px;color:var(--quiet);
margin:10px 0 12px;max-width:none}
.legend span{display:inline-flex;align-items:center;gap:7px}
.legend i{display:inline-block;width:22px;height:20px;line-height:20px;border-radius:3px;
text-align:center;font-style:normal;
font-size:12px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,290px),1fr));
gap:24px 32px;margin:4px 0 12px}
.charts figcaption{display:flex;justify-content:space-between;font-size:14px;margin-bottom:4px}
.charts svg{width:100%}
svg .sign{text-anchor:middle;font-weight:700}
svg .failedsign{fill:var(--bad)}
svg .leftsign{fill:var(--warn)}
table{border-collapse:collapse;font-size:14px;width:100%;overflow-wrap:break-word}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
th,td{text-align:left;vertical-align:top;padding:8px 20px 8px 0;
border-bottom:1px solid var(--line)}
thead th,thead td{font-size:13px;font-weight:500;color:var(--quiet);vertical-align:bottom}
tbody th{font-weight:600;overflow-wrap:anywhere;min-width:8.5em}
tbody tr:last-child>*{border-bottom:0}
th:last-child,td:last-child{padding-right:0}
.n{text-align:right;white-space:nowrap}
.prose tbody th{min-width:11em;width:17em}
.prose td{min-width:9em}
.prose td.n{min-width:0}
.sizes .meter{width:40%;min-width:120px;vertical-align:middle}
.sizes .meter svg{width:100%;height:12px}
.sizes td{vertical-align:middle}
.track{fill:var(--soft)}
.fill{fill:var(--accent)}
.over{fill:url(#left);stroke:var(--warn);stroke-width:1}
.expected{stroke:var(--ink);stroke-width:1.5}
.arrow{fill:none;stroke:var(--warn);stroke-width:1.5}
.machines th,.machines td{padding-right:16px}
.machines tbody th{min-width:9em;max-width:24em}
.machines td{white-space:nowrap}
.machines tbody th,.heat tbody th{position:sticky;left:0;background:var(--card)}
.machines .ratio svg{margin-top:5px}
.state .badge{width:17px;height:17px;font-size:10px;vertical-align:1px}
.heat{font-size:12px;overflow-wrap:normal}
.heat bdi{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;overflow:hidden}
.heat th,.heat td{padding:0;border:2px solid var(--card);text-align:center;min-width:25px;
width:25px;height:23px;line-height:19px;
vertical-align:middle}
.heat tbody th,.heat thead th:first-child{text-align:left;width:13em;min-width:11em;
max-width:18em;padding-right:12px;font-size:13px}
.heat thead th{font-size:12px;line-height:1.25;vertical-align:bottom}
.heat thead span{display:block;white-space:nowrap;font-weight:600;color:var(--ink)}
.heat thead th:last-child{color:var(--ink);font-weight:700}
.heat td{border-radius:5px}
.h0{background:var(--soft);color:var(--quiet)}
.h1{background:var(--warn-soft);color:var(--warn);font-weight:600}
.h2{background:var(--warn);color:var(--on);font-weight:600}
.h3{background:var(--bad);color:var(--on);font-weight:700}
.h-{color:var(--quiet)}
.heat .sum{font-size:11px;color:var(--quiet)}
.heat .sum.short{color:var(--ink);font-weight:700}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));
gap:0 48px}
.pair section{min-width:0}
details{margin-top:12px}
summary{cursor:pointer;color:var(--accent);font-size:14px;padding:2px 0;width:fit-content}
details[open]>summary{margin-bottom:8px}
footer{padding-bottom:48px;font-size:13px;color:var(--quiet)}
@media (max-width:640px){
main,header,footer,nav{padding-left:14px;padding-right:14px}
header{padding-top:20px}
main>section{padding:18px 16px 20px;border-radius:10px}
.verdict h2{font-size:24px}
.tiles{grid-template-columns:1fr 1fr;gap:16px}
.tiles dd{font-size:19px}
.heat tbody th,.heat thead th:first-child{width:8em;min-width:8em}
}
"""

_PRINT = """
@page{margin:14mm 12mm}
body{background:#fff;font-size:10.5pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}
main,header,footer{max-width:none;padding:0}
header{padding-top:0}
nav{display:none}
main>section{border-radius:0;border-width:1px 0 0;padding:14px 0 6px;margin:10px 0}
.verdict{border-width:0 0 0 6px;padding-left:14px}
h2,h3,h4{break-after:avoid}
tr,.card,figure,.tiles{break-inside:avoid}
thead{display:table-header-group;break-after:avoid}
tbody tr:first-child{break-before:avoid}
small{font-size:7.5pt}
.wide{overflow:visible}
.timeline{min-width:0}
.tiles{grid-template-columns:repeat(5,1fr);gap:12px}
.tiles dd{font-size:14pt}
.charts{grid-template-columns:repeat(3,1fr);gap:16px}
.pair{grid-template-columns:1fr 1fr}
.verdict h2{font-size:19pt}
table{font-size:8.5pt}
th,td{padding:4px 10px 4px 0}
.machines th,.machines td{padding-right:6px;font-size:7.5pt;white-space:normal}
.heat{width:100%}
.heat th,.heat td{min-width:0;width:auto;font-size:7pt;height:17px;line-height:14px;
border-width:1px}
.heat tbody th,.heat thead th:first-child{font-size:8pt;min-width:9em}
.heat .sum{font-size:6pt}
"""
