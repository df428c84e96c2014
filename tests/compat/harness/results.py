"""What tests of two servers came to, and what counts: a test counts only if the yardstick passes it."""
import json
import re
from dataclasses import dataclass, field

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
NOT_RUN = "did not run"


class FileResult:
    """The tests of one file against one server, in their order. name -> (outcome, message).

    notes: what happened outside of any test, such as that the file ended early.
    """

    def __init__(self):
        self.tests = {}
        self.notes = []

    def add(self, name, outcome, message=""):
        """Suites repeat names; the second of a name is kept as `name (2)`."""
        unique, count = name, 1
        while unique in self.tests:
            count += 1
            unique = f"{name} ({count})"
        self.tests[unique] = (outcome, message)

    def count(self, outcome):
        return sum(1 for got, _ in self.tests.values() if got == outcome)


def all_passed(result):
    """What a yardstick would have said that passes all tests that were not skipped."""
    wanted = FileResult()
    wanted.tests = {name: (PASSED, "") for name, (outcome, _) in result.tests.items() if outcome != SKIPPED}
    return wanted


@dataclass
class Failing:
    name: str
    message: str
    reason: str  # empty if nobody knows one


@dataclass
class Compared:
    """One file: ours beside the yardstick's."""
    suite: str
    file: str
    ours: FileResult
    yardstick: FileResult
    counted: int = 0
    passed: int = 0
    failing: list = field(default_factory=list)

    @property
    def unknown(self):
        return [test for test in self.failing if not test.reason]


def compare(suite, file, ours, yardstick, known):
    compared = Compared(suite, file, ours, yardstick)
    for name, (outcome, _) in yardstick.tests.items():
        if outcome != PASSED:
            continue
        compared.counted += 1
        got, message = ours.tests.get(name, (NOT_RUN, ours.notes[-1] if ours.notes else ""))
        if got == PASSED:
            compared.passed += 1
        else:
            text = message if got == FAILED else f"{got}: {message}" if message else got
            compared.failing.append(Failing(name, text, known.reason(suite, file, name, text)))
    return compared


class Known:
    """known.json: why tests fail. * stands for any text, case does not matter, the first that fits counts.

    tests: `suite file: test` -> reason. messages: what the failing test said -> reason, for what many tests need; such a
    reason excuses no other failure of the same test. endless: as tests, without stars: tests that would wait for ever for
    something that our node does not do; suites leave them out with it.
    """

    def __init__(self, tests, messages=None, endless=None):
        self._endless = dict(endless or {})
        self._tests = _patterns({**self._endless, **tests})
        self._messages = _patterns(messages or {})
        self._used = set()

    @classmethod
    def read(cls, path):
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def reason(self, suite, file, test, message=""):
        for rows, text in ((self._tests, f"{suite} {file}: {test}"), (self._messages, message)):
            for key, pattern, reason in rows:
                if pattern.match(text):
                    self._used.add(key)
                    return reason
        return ""

    def endless(self, suite, file):
        """Names of tests of that file."""
        start = f"{suite} {file}: "
        return [key.removeprefix(start) for key in self._endless if key.startswith(start)]

    def unused(self):
        """Keys that no failing test was asked for: what they excuse is mended, or misspelt."""
        return [key for key, _, _ in self._tests + self._messages if key not in self._used]


def _patterns(table):
    return [(key, re.compile(".*".join(map(re.escape, key.split("*"))) + r"\Z", re.S | re.I), reason) for key, reason in table.items()]
