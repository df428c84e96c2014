"""A pytest plugin: a JSON line for each test, written at once, so that a run that is stopped has told what it did;
at the end one with pytest's exit status.

COMPAT_LINES names the file.
"""
import json
import os


def pytest_runtest_logreport(report):
    # A test that is skipped, or whose fixture fails, has no call phase.
    if report.when != "call" and report.passed:
        return
    outcome = "skipped" if report.skipped else "passed" if report.passed else "failed"
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash else report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    _write({"test": report.nodeid, "when": report.when, "outcome": outcome, "message": message.splitlines()[0][:300] if message else ""})


def pytest_sessionfinish(exitstatus):
    _write({"exit": int(exitstatus)})


def pytest_collectreport(report):
    if report.failed:
        _write({"test": report.nodeid, "when": "collect", "outcome": "failed", "message": str(report.longrepr).strip().splitlines()[-1][:300]})


def _write(row):
    with open(os.environ["COMPAT_LINES"], "a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")
