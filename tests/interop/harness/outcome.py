"""What a client's program said, and docs/compatibility-clients.md."""
import datetime
import subprocess

import rivals


class Outcome:
    """checks: name -> what went wrong, empty if nothing did. version: of the library and of what runs it."""

    def __init__(self, client):
        self.client = client
        self.version = ""
        self.checks = {}

    def add(self, name, problem=""):
        while name in self.checks:
            name += " again"
        self.checks[name] = problem

    def add_all(self, pairs):
        for name, problem in pairs:
            self.add(name, problem)

    @property
    def passed(self):
        return sum(not problem for problem in self.checks.values())

    @property
    def failed(self):
        return len(self.checks) - self.passed


def parse(text):
    """The lines of a program: `passed NAME` or `failed NAME: what went wrong`."""
    for line in text.splitlines():
        if line.startswith("passed "):
            yield line.removeprefix("passed ").strip(), ""
        elif line.startswith("failed "):
            name, _, problem = line.removeprefix("failed ").partition(": ")
            yield name, problem.strip() or "it says no more"


def write(out, command, rival, all_met):
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=rivals.ROOT, capture_output=True, text=True, check=False).stdout.strip()
    lines = ["# Client libraries and tools", "",
             "Written by `make interop` (see the head of `tests/interop/interop`): each library, in the version that its folder below `tests/interop` "
             "names, does what its applications do against a primary of ours, its replica, and a node that wants a password. The programs are ours, "
             "the libraries and tools are not.", "",
             "| | |", "|---|---|", f"| command | `{command}` |", f"| date | {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC |",
             f"| commit | {commit or 'unknown'} |", f"| {rival.name} | {rival.version} |", "",
             "| client | version | checks | passed | failed |", "|---|---|---|---|---|"]
    for met in all_met:
        lines.append(f"| {met.client.name} | {met.version or 'not installed'} | {len(met.checks)} | {met.passed} | {met.failed} |")
    lines += ["", "## What each does", ""]
    for met in all_met:
        names = ", ".join(name for name, problem in met.checks.items() if not problem)
        lines.append(f"- **{met.client.name}**: {names or 'nothing'}")
    failing = [(met.client.name, name, problem) for met in all_met for name, problem in met.checks.items() if problem]
    if failing:
        lines += ["", "## What fails", ""]
        lines += [f"- {client}, {name}: {_text(problem)}" for client, name, problem in failing]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _text(text):
    """One line that Markdown leaves as it is."""
    plain = "".join(c if c.isprintable() else " " for c in text)[:400]
    return "`" + plain.replace("`", "'") + "`"
