"""The lines that pytest_lines.py wrote, read into a FileResult for each file."""
import json

from results import FileResult

_WHOLE_RUN = (0, 1)  # all passed, some failed


def parse(text, ended_well):
    """text: the lines. Returns file -> FileResult; the last file has a note if the run was stopped, or broke off."""
    files, last, exit_status = {}, None, None
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the line that was being written
        if "exit" in row:
            exit_status = row["exit"]
            continue
        file, _, name = row["test"].partition("::")
        last = files.setdefault(file, FileResult())
        if row["when"] == "collect":
            last.notes.append(f"not read: {row['message']}")
        elif name in last.tests:
            # Its body has been told already: this is a teardown that failed.
            last.tests[name] = (row["outcome"], row["message"])
        else:
            last.add(name, row["outcome"], row["message"])
    if last is not None and not ended_well:
        last.notes.append("ended early: the time of the whole run was over")
    elif last is not None and exit_status not in _WHOLE_RUN:
        last.notes.append(f"ended early: pytest's exit status is {exit_status}")
    return files
