"""A program with a time limit: what runs too long is ended with all that it started, and has told what it did until then."""
import os
import signal
import subprocess
import time

import contenders
from progress import HEARTBEAT_S, say

_GRACE_S = 5


def run(argv, log, limit_s, title, **kwargs):
    """Output goes to the file log. Returns whether it ended within limit_s; its exit code is of no interest."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        child = subprocess.Popen(["nice", "-n", "19", *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                 start_new_session=True, preexec_fn=contenders.die_with_parent, **kwargs)
    deadline = time.monotonic() + limit_s
    beat = 3 * HEARTBEAT_S
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                child.wait(min(beat, left))
                return True
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    say(f"{title} …")
    finally:
        _end(child)


def _end(child):
    """Also its children: they are of its session and process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            pass
