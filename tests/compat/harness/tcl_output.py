"""What Valkey's runtest prints, read into a FileResult."""
import re

from results import FAILED, PASSED, SKIPPED, FileResult

_COLOUR = re.compile(r"\x1b?\[[0-9;]+m")
_LINE = re.compile(r"\[(ok|err|skip|ignore|exception|TIMEOUT)\]: (.*)")
# What stands between tests and ends the text of an error.
_OTHER = re.compile(r"\[(ready|testing|\d+/\d+ done)\]|Testing |Test Summary|\s+The End")
_IN_FILE = re.compile(r"(.*) in tests/\S+\.tcl(?:: (.*))?$")


def parse(text, ended_well):
    """text: all that runtest printed. ended_well: not if it was stopped because its time was over."""
    result = FileResult()
    kind, words, more, finished = None, "", [], False

    def close():
        if kind == "ok":
            result.add(re.sub(r" \(\d+ ms\)$", "", words), PASSED)
        elif kind == "err":
            found = _IN_FILE.match(words)
            if found:
                result.add(found[1], FAILED, _brief(more))
            else:
                result.notes.append("outside of any test: " + _brief([words, *more]))
        elif kind == "skip":
            found = _IN_FILE.match(words)
            result.add(found[1] if found else words, SKIPPED, (found[2] or "") if found else "")
        elif kind == "ignore":
            name, colon, why = words.rpartition(": ")
            # A whole block that is left out has no name, only `Tag: slow denied`.
            if colon and name != "Tag":
                result.add(re.sub(r": Tag$", "", name), SKIPPED, why)
        elif kind in ("exception", "TIMEOUT"):
            result.notes.append("ended early: " + _brief([words, *more]))

    for line in _COLOUR.sub("", text).splitlines():
        found = _LINE.match(line)
        if found or _OTHER.match(line):
            close()
            kind, words, more = (found[1], found[2], []) if found else (None, "", [])
            if re.match(r"\s+The End", line):
                # What follows repeats the errors.
                finished = True
                break
        else:
            more.append(line)
    close()
    if not ended_well:
        result.notes.append("ended early: its time was over" + (f", in the last test after `{list(result.tests)[-1]}`" if result.tests else ""))
    elif not finished and not result.notes:
        result.notes.append("ended early: " + (_brief(text.splitlines()[-3:]) or "runtest printed nothing"))
    return result


def _brief(lines):
    """One line; without where in the suite's own sources it happened."""
    if len(lines) > 1 and lines[0] and lines[1].endswith(lines[0]):
        # Of an error that is no assertion the first ten characters are cut off, and all of it follows.
        lines = lines[1:]
    text = " ".join(line.strip() for line in lines if line.strip())
    text = re.sub(r"\((context|detail): type (source|eval) .*", "", text)
    text = re.sub(r"\s+while executing.*", "", text)
    return text.strip()[:300]
