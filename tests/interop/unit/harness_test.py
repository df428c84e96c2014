#!/usr/bin/env python3
"""How the harness reads what the clients' programs print, and what it writes. Needs no build, no network and no library."""
import pathlib
import re
import sys
import tempfile
import types
import unittest

sys.dont_write_bytecode = True
INTEROP = pathlib.Path(__file__).resolve().parents[1]
for folder in ("compat", "bench", "interop"):
    sys.path.insert(0, str(INTEROP.parent / folder / "harness"))
import rivals  # noqa: E402,F401  (first: it adds the folders of `progress` and of the servers to the path)
import libraries  # noqa: E402
import outcome  # noqa: E402


def met(text, version="1.2"):
    found = outcome.Outcome(types.SimpleNamespace(name="client"))
    found.version = version
    found.add_all(outcome.parse(text))
    return found


class OutcomeTest(unittest.TestCase):
    def test_each_line_of_a_program_is_a_check(self):
        found = met("passed connects\nnoise\nfailed pub/sub: 1: instead of 2\nfailed geo\nall checks were made\n")
        self.assertEqual(found.checks, {"connects": "", "pub/sub": "1: instead of 2", "geo": "it says no more"})
        self.assertEqual((found.passed, found.failed), (1, 2))

    def test_a_name_that_comes_twice_counts_twice(self):
        self.assertEqual(met("passed a\nfailed a: b\n").checks, {"a": "", "a again": "b"})

    def test_the_page_has_a_row_for_each_client_and_a_line_for_each_failure(self):
        rival = types.SimpleNamespace(name="understudy", version="understudy-node 0.1.0")
        with tempfile.TemporaryDirectory() as directory:
            out = pathlib.Path(directory) / "page.md"
            outcome.write(out, "tests/interop/interop", rival, [met("passed connects\nfailed geo: `x`\nis wrong\n"), met("", "")])
            page = out.read_text(encoding="utf-8")
        self.assertIn("| client | 1.2 | 2 | 1 | 1 |", page)
        self.assertIn("| client | not installed | 0 | 0 | 0 |", page)
        self.assertIn("- client, geo: `'x'`", page)


class LibrariesTest(unittest.TestCase):
    def test_each_library_names_one_version_in_its_folder(self):
        for client in libraries.CLIENTS:
            if client.pinned:
                file, pattern = client.pinned
                text = (INTEROP / client.name / file).read_text(encoding="utf-8")
                self.assertEqual(len(re.findall(pattern, text)), 1, client.name)

    def test_each_program_says_when_it_has_made_all_checks(self):
        shared = "".join(path.read_text(encoding="utf-8") for path in sorted((INTEROP / "shared").iterdir()))
        for client in libraries.CLIENTS:
            own = "".join(path.read_text(encoding="utf-8") for path in sorted((INTEROP / client.name).rglob("*")) if path.is_file())
            self.assertIn("all checks were made", own + (shared if client.shared else ""), client.name)


if __name__ == "__main__":
    unittest.main()
