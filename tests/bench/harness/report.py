"""The written result: a Markdown file and the charts beside it."""
import datetime
import os
import pathlib
import platform
import re
import subprocess

import charts
from contenders import ROOT


class Section:
    """Heading, text, tables and charts of one part of the report, in the order in which they were added."""

    def __init__(self, title):
        self.title = title
        self.lines = []
        self.charts = {}

    def text(self, text):
        self.lines += [text, ""]

    def table(self, head, rows):
        self.lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        self.lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
        self.lines.append("")

    def chart(self, name, title, unit, labels, series):
        self.charts[name + ".svg"] = charts.bars(title, unit, labels, series)
        self.lines += [f"![{title}]({{charts}}/{name}.svg)", ""]

    def musts(self, rows):
        """rows: (what must hold, the limit as text, what was seen as text, whether it held)."""
        self.table(["must", "at most", "seen", "reached"], [[what, limit, seen, "yes" if held else "**no**"] for what, limit, seen, held in rows])

    def code(self, text):
        self.lines += ["```", text.strip(), "```", ""]


def number(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def ratio(reference, own):
    return reference / own if reference is not None and own else None


def verdict(value, must):
    """value: larger is better."""
    if value is None or must is None:
        return ""
    return "yes" if value >= must else "**no**"


def _read(path, default="unknown"):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return default


def _machine():
    model = re.search(r"model name\s*: (.*)", _read("/proc/cpuinfo"))
    memory = int(re.search(r"MemTotal:\s*(\d+)", _read("/proc/meminfo"))[1]) / 2**20
    pages = re.search(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled", "[unknown]"))
    virtual = ", virtual" if " hypervisor " in _read("/proc/cpuinfo") else ""
    return [("CPU", f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores{virtual}"), ("memory", f"{memory:.0f} GiB"),
            ("kernel", platform.release()), ("transparent huge pages", pages[1] if pages else "unknown"),
            ("TCP congestion control", _read("/proc/sys/net/ipv4/tcp_congestion_control")),
            ("compiler", subprocess.run(["c++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0])]


def _commit():
    text = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return text or "unknown"


def write(out, command, setting, contenders, quiet, sections):
    """out: path of the Markdown file; the charts go into the directory of its name."""
    folder = out.with_suffix("")
    lines = ["# Benchmarks", "",
             "Written by `make bench` (see the head of `tests/bench/bench`). A figure is worth its ratio in one run on one machine: "
             "all servers ran side by side and took turns, each number is the median over the rounds. Server CPU time is that of all "
             "threads of the process, kernel included.", ""]
    if setting.short:
        lines += ["**Short setting (`SHORT=1`): it shows that everything works. The figures mean nothing.**", ""]
    if quiet is not None and quiet < 0.9:
        lines += [f"**The machine was not quiet: before the start {100 - quiet * 100:.0f} % of its CPU time was used by others.**", ""]
    lines += ["| | |", "|---|---|", f"| command | `{command}` |", f"| date | {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC |",
              f"| commit | {_commit()} |"]
    lines += [f"| {contender.name} | {contender.version} |" for contender in contenders]
    lines += [f"| {name} | {value} |" for name, value in _machine()]
    lines += [f"| setting | rounds: {setting.rounds}; windows of {setting.seconds} s after {setting.warmup_s} s of warm-up; "
              "server on CPU 0, load on CPU 1 where no other is named; loopback; no persistence |", ""]
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        lines += [f"## {section.title}", "", *(line.replace("{charts}", folder.name) for line in section.lines)]
        for name, svg in section.charts.items():
            (folder / name).write_text(svg, encoding="utf-8")
    out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
