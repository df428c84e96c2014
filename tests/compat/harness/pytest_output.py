"""The lines that pytest_lines.py wrote, read into a FileResult for each file."""
import json

from results import FileResult


def parse(text, ended_well):
    """text: the lines. Returns file -> FileResult; the last file has the note if the run was stopped."""
    files, last = {}, None
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the line that was being written
        file, _, name = row["test"].partition("::")
        last = files.setdefault(file, FileResult())
        if row["when"] == "collect":
            last.notes.append(f"not read: {row['message']}")
        elif name in last.tests:
            # Its body has been told already: this is a teardown that failed.
            last.tests[name] = (row["outcome"], row["message"])
        else:
            last.add(name, row["outcome"], row["message"])
    if not ended_well and last is not None:
        last.notes.append("ended early: the time of the whole run was over")
    return files
