"""The written result: docs/compatibility.md."""
import datetime
import subprocess

import rivals

_SHOWN = 240


def write(out, command, versions, suites, stale):
    """suites: (title, about, [Compared]). stale: keys of known.json that no failing test fits."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=rivals.ROOT, capture_output=True, text=True, check=False).stdout.strip()
    lines = ["# Compatibility", "",
             "Written by `make compat` (see the head of `tests/compat/compat`): suites that nobody here wrote, run against our node and, as the yardstick, "
             "against Valkey itself in the same run. **Only a test that Valkey passes counts**; the ratio is the share of these that our node passes. "
             "A test that our node skips or never reaches has failed.", "",
             "| | |", "|---|---|", f"| command | `{command}` |", f"| date | {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC |",
             f"| commit | {commit or 'unknown'} |", *(f"| {name} | {version} |" for name, version in versions.items()), ""]
    lines += ["| suite | counted | passed | ratio | failed, reason known | failed, no reason |", "|---|---|---|---|---|---|"]
    for title, _, compared in suites:
        counted, passed, unknown = sum(c.counted for c in compared), sum(c.passed for c in compared), sum(len(c.unknown) for c in compared)
        lines.append(f"| {title} | {counted} | {passed} | {ratio(passed, counted)} | {counted - passed - unknown} | {unknown} |")
    lines.append("")
    for title, about, compared in suites:
        lines += _suite(title, about, compared)
    if stale:
        lines += ["## Reasons that no failing test needs", "", *(f"- `{key}`" for key in stale), ""]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def ratio(passed, counted):
    return f"{100 * passed / counted:.1f} %" if counted else "–"


def _suite(title, about, compared):
    lines = [f"## {title}", "", about[0].upper() + about[1:] + ".", "",
             "| file | ours: passed / failed / skipped | Valkey's | counted | ratio |", "|---|---|---|---|---|"]
    empty = []
    for one in compared:
        if not one.ours.tests and not one.yardstick.tests:
            empty.append(one.file)
            continue
        lines.append(f"| {one.file} | {_counts(one.ours)} | {_counts(one.yardstick)} | {one.counted} | {ratio(one.passed, one.counted)} |")
    lines.append("")
    if empty:
        lines += [f"No test of these is for a server that runs already: {', '.join(empty)}.", ""]
    for one in compared:
        if one.failing or one.ours.notes:
            lines += _failing(one)
    return lines


def _counts(result):
    return " / ".join(str(result.count(outcome)) for outcome in ("passed", "failed", "skipped"))


def _failing(one):
    lines = [f"### {one.file}", ""]
    lines += [f"- {_text(note)}" for note in one.ours.notes]
    by_reason = {}
    for test in one.failing:
        by_reason.setdefault(test.reason, []).append(test)
    for reason, tests in sorted(by_reason.items()):
        if reason:
            names = "; ".join(f"`{_text(test.name)}`" for test in tests)
            lines.append(f"- {reason}: {names}")
        else:
            lines += [f"- **no reason known:** `{_text(test.name)}`{': ' if test.message else ''}{_text(test.message)}" for test in tests]
    lines.append("")
    return lines


def _text(text):
    """One line that Markdown leaves as it is."""
    plain = "".join(c if c.isprintable() else "?" for c in text.replace("\n", " "))[:_SHOWN]
    return plain.replace("`", "'").replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")
