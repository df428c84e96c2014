#!/usr/bin/env python3
"""How the harness reads what suites print, and what it makes of it. Needs no build, no root and no suite."""
import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.dont_write_bytecode = True
COMPAT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(COMPAT / "harness"))
import page  # noqa: E402
import pytest_lines  # noqa: E402
import pytest_output  # noqa: E402
import results  # noqa: E402
import tcl_output  # noqa: E402
import tcl_suite  # noqa: E402
from progress import Failure  # noqa: E402
from results import FAILED, PASSED, SKIPPED  # noqa: E402

RUN = """\
Starting test server at port 21079
[ready]: 4711
Testing unit/type/hash
[\x1b[0;32;49mok\x1b[0m]: HSET in update and insert mode (3 ms)
[\x1b[0;31;49merr\x1b[0m]: HGETDEL - types in tests/unit/type/hash.tcl
Expected 'ERR a' to match '*ERR b' (context: type source line 93 file /x/test.tcl cmd {assert_match} level 1)
[\x1b[0;31;49merr\x1b[0m]: A key in tests of old in tests/unit/type/hash.tcl
n command 'rpush'
ERR unknown command 'rpush'
    while executing
"[srv $level "client"] {*}$args"
[\x1b[0;33;49mskip\x1b[0m]: Needs more in tests/unit/type/hash.tcl: there is no gdb
[\x1b[0;36;49mignore\x1b[0m]: Slow: one: Tag: slow denied
[\x1b[0;36;49mignore\x1b[0m]: Tag: large-memory flag not provided
[\x1b[0;32;49mok\x1b[0m]: HSET in update and insert mode (4 ms)
[1/1 \x1b[33mdone\x1b[0m]: unit/type/hash (3 seconds)

                   The End

Test Summary: 2 passed, 2 failed

!!! WARNING The following tests failed:

*** [\x1b[0;31;49merr\x1b[0m]: HGETDEL - types in tests/unit/type/hash.tcl
"""


class TclTest(unittest.TestCase):
    def test_each_test_has_its_outcome_once(self):
        result = tcl_output.parse(RUN, True)
        self.assertEqual({name: outcome for name, (outcome, _) in result.tests.items()}, {
            "HSET in update and insert mode": PASSED, "HGETDEL - types": FAILED, "A key in tests of old": FAILED, "Needs more": SKIPPED,
            "Slow: one": SKIPPED, "HSET in update and insert mode (2)": PASSED})
        self.assertEqual(result.notes, [])

    def test_an_error_is_told_in_one_line_without_where_the_suite_found_it(self):
        tests = tcl_output.parse(RUN, True).tests
        self.assertEqual(tests["HGETDEL - types"][1], "Expected 'ERR a' to match '*ERR b'")
        self.assertEqual(tests["A key in tests of old"][1], "ERR unknown command 'rpush'")
        self.assertEqual(tests["Needs more"][1], "there is no gdb")

    def test_a_file_that_was_stopped_keeps_what_it_had_and_says_where_it_was(self):
        result = tcl_output.parse(RUN[:RUN.index("[\x1b[0;33;49mskip")], False)
        self.assertEqual(len(result.tests), 3)
        self.assertEqual(result.notes, ["ended early: its time was over, in the last test after `A key in tests of old`"])

    def test_an_exception_ends_the_file(self):
        result = tcl_output.parse("[ok]: one (0 ms)\n[exception]: Executing test client: ERR no such option.\nERR no such option\n    while executing\n", True)
        self.assertEqual(list(result.tests), ["one"])
        self.assertEqual(result.notes, ["ended early: Executing test client: ERR no such option. ERR no such option"])

    def test_an_error_between_tests_is_a_note_and_no_test(self):
        result = tcl_output.parse("[err]: a block of tests: ERR CONFIG SET failed\n[ok]: one (0 ms)\n\n    The End\n", True)
        self.assertEqual(list(result.tests), ["one"])
        self.assertEqual(result.notes, ["outside of any test: a block of tests: ERR CONFIG SET failed"])

    def test_a_run_that_never_began_says_why(self):
        self.assertEqual(tcl_output.parse("You need tcl 8.5 or newer\n", True).notes, ["ended early: You need tcl 8.5 or newer"])
        self.assertEqual(tcl_output.parse("", True).notes, ["ended early: runtest printed nothing"])


class PytestTest(unittest.TestCase):
    def lines(self, *reports):
        """What the plugin writes for reports of pytest."""
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, COMPAT_LINES=f"{folder}/lines"):
            for node, when, outcome, message in reports:
                crash = types.SimpleNamespace(reprcrash=types.SimpleNamespace(message=message)) if outcome == "failed" else ("f.py", 1, message)
                pytest_lines.pytest_runtest_logreport(types.SimpleNamespace(
                    nodeid=node, when=when, outcome=outcome, passed=outcome == "passed", skipped=outcome == "skipped", longrepr=crash if message else None))
            path = pathlib.Path(folder, "lines")
            return path.read_text(encoding="utf-8")

    def test_a_test_is_told_once_whatever_its_phase(self):
        files = pytest_output.parse(self.lines(
            ("t/a.py::A::one", "setup", "passed", ""), ("t/a.py::A::one", "call", "passed", ""), ("t/a.py::A::one", "teardown", "passed", ""),
            ("t/a.py::A::two", "call", "failed", "ERR no\nmore"), ("t/a.py::A::three", "setup", "skipped", "needs 8.0"),
            ("t/b.py::one[x::y]", "setup", "failed", "no connection")), True)
        self.assertEqual(files["t/a.py"].tests, {"A::one": (PASSED, ""), "A::two": (FAILED, "ERR no"), "A::three": (SKIPPED, "needs 8.0")})
        self.assertEqual(files["t/b.py"].tests, {"one[x::y]": (FAILED, "no connection")})

    def test_a_teardown_that_fails_fails_its_test(self):
        files = pytest_output.parse(self.lines(("a.py::one", "call", "passed", ""), ("a.py::one", "teardown", "failed", "still busy")), True)
        self.assertEqual(files["a.py"].tests, {"one": (FAILED, "still busy")})

    def test_a_run_that_broke_off_says_so(self):
        text = self.lines(("a.py::one", "call", "passed", ""))
        for end, notes in (('{"exit": 1}\n', []), ('{"exit": 3}\n', ["ended early: pytest's exit status is 3"]),
                           ("", ["ended early: pytest's exit status is None"])):
            self.assertEqual(pytest_output.parse(text + end, True)["a.py"].notes, notes)

    def test_a_run_that_was_stopped_keeps_what_it_wrote(self):
        text = self.lines(("a.py::one", "call", "passed", "")) + '{"test": "a.py::tw'
        files = pytest_output.parse(text, False)
        self.assertEqual(files["a.py"].tests, {"one": (PASSED, "")})
        self.assertEqual(files["a.py"].notes, ["ended early: the time of the whole run was over"])


def outcome(**tests):
    result = results.FileResult()
    for name, got in tests.items():
        result.add(name, got, f"why {name}" if got != PASSED else "")
    return result


class CompareTest(unittest.TestCase):
    def test_only_what_the_yardstick_passes_counts(self):
        compared = results.compare("tcl", "unit/x", outcome(a=PASSED, b=FAILED, c=SKIPPED, e=FAILED), outcome(a=PASSED, b=PASSED, c=PASSED, d=PASSED, e=FAILED, f=SKIPPED),
                                   results.Known({}))
        self.assertEqual((compared.counted, compared.passed), (4, 1))
        self.assertEqual([(test.name, test.message) for test in compared.failing], [("b", "why b"), ("c", "skipped: why c"), ("d", "did not run")])
        self.assertEqual(len(compared.unknown), 3)

    def test_without_a_yardstick_all_but_what_was_skipped_counts(self):
        ours = outcome(a=PASSED, b=FAILED, c=SKIPPED)
        compared = results.compare("redispy", "x", ours, results.all_passed(ours), results.Known({}))
        self.assertEqual((compared.counted, compared.passed, [test.name for test in compared.failing]), (2, 1, ["b"]))

    def test_a_known_reason_fits_a_name_or_a_pattern_and_nothing_longer(self):
        known = results.Known({"tcl unit/x: b": "no disk", "tcl unit/type/list*": "no lists", "* [a]*": "odd"})
        self.assertEqual(known.reason("tcl", "unit/x", "b"), "no disk")
        self.assertEqual(known.reason("tcl", "unit/x", "bb"), "")
        self.assertEqual(known.reason("tcl", "unit/type/list-2", "anything"), "no lists")
        self.assertEqual(known.reason("tcl", "unit/x", "a"), "")
        self.assertEqual(known.unused(), ["* [a]*"])

    def test_tests_that_would_wait_for_ever_are_told_by_suite_and_file_and_have_their_reason(self):
        known = results.Known({}, endless={"tcl unit/x: b *": "no such event", "tcl unit/xy: c": "odd", "spawn unit/x: d": "odd"})
        self.assertEqual(known.endless("tcl", "unit/x"), ["b *"])
        self.assertEqual(tcl_suite.skipped(known.endless("tcl", "unit/x")), ["--skiptest", "b *"])
        self.assertEqual(known.reason("tcl", "unit/x", "b *"), "no such event")
        self.assertEqual(known.endless("redispy", "unit/x"), [])

    def test_a_known_message_excuses_only_what_says_it(self):
        known = results.Known({}, {"*unknown command 'lpush'*": "no lists", "*gone": "odd"})
        compared = results.compare("tcl", "unit/x", outcome(a=FAILED, b=FAILED), outcome(a=PASSED, b=PASSED), known)
        self.assertEqual([test.reason for test in compared.failing], ["", ""])
        self.assertEqual(known.reason("tcl", "unit/x", "a", "ERR unknown command 'LPUSH', with args"), "no lists")
        self.assertEqual(known.unused(), ["*gone"])

    def test_the_table_of_reasons_can_be_read(self):
        table = results.Known.read(COMPAT / "known.json")
        self.assertEqual(table.reason("tcl", "no/such/file", "no such test"), "")


class PageTest(unittest.TestCase):
    def test_the_page_tells_counts_reasons_and_what_has_none(self):
        ours, yardstick = outcome(a=PASSED, b=FAILED, c=FAILED), outcome(a=PASSED, b=PASSED, c=PASSED)
        ours.notes.append("ended early: its time was over")
        compared = results.compare("tcl", "unit/x", ours, yardstick, results.Known({"tcl unit/x: b": "no disk"}))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "compatibility.md")
            page.write(path, "make compat", {"valkey": "9"}, [("Tcl", "about it", [compared])], ["tcl gone"])
            text = path.read_text(encoding="utf-8")
        for line in ["| Tcl | 3 | 1 | 33.3 % | 1 | 1 |", "| unit/x | 1 / 2 / 0 | 3 / 0 / 0 | 3 | 33.3 % |", "- no disk: `b`", "- **no reason known:** `c`: why c",
                     "- ended early: its time was over", "- `tcl gone`"]:
            self.assertIn(line, text.splitlines())


class ProgramTest(unittest.TestCase):
    def setUp(self):
        loader = importlib.machinery.SourceFileLoader("compat_program", str(COMPAT / "compat"))
        self.program = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(self.program)

    def test_files_and_suites_are_chosen_by_name_or_pattern(self):
        suites = {"tcl": types.SimpleNamespace(files=lambda: ["unit/type/hash", "unit/type/set", "unit/acl"]), "redispy": types.SimpleNamespace(files=lambda: ["tests/test_lock.py"])}
        for value, chosen in [("unit/type/*", {"tcl": ["unit/type/hash", "unit/type/set"]}), ("unit/acl,tests/test_lock.py", {"tcl": ["unit/acl"], "redispy": ["tests/test_lock.py"]})]:
            with mock.patch.dict(os.environ, FILES=value):
                self.assertEqual(self.program.chosen_files(suites), chosen)
        with mock.patch.dict(os.environ, FILES="unit/none"), self.assertRaisesRegex(Failure, "no suite has a file unit/none"):
            self.program.chosen_files(suites)
        with mock.patch.dict(os.environ, SUITES="tcl,ruby"), self.assertRaisesRegex(Failure, "SUITES knows no 'ruby'"):
            self.program.chosen_suites()

    def test_help_names_the_suites(self):
        shown = subprocess.run([str(COMPAT / "compat"), "--help"], capture_output=True, text=True, check=True).stdout
        for name in self.program.SUITES:
            self.assertIn(name, shown)


if __name__ == "__main__":
    unittest.main()
