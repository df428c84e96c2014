"""Progress lines with elapsed time, and sub-commands whose output goes to log files.

A long step prints a line at least every HEARTBEAT_S seconds, so that nobody wonders whether it
still works. A failed step names its log file and shows its last lines.
"""
import ctypes
import os
import signal
import subprocess
import sys
import time

HEARTBEAT_S = 10
_START = time.monotonic()


class Failure(Exception):
    """Something the user has to know: one sentence, printed without a stack trace."""


def say(text):
    print(f"[{time.monotonic() - _START:4.0f}s] {text}", file=sys.stderr, flush=True)


def tail(path, lines=15):
    try:
        with open(path, "rb") as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - 16384))
            text = f.read().decode("utf-8", "replace")
    except OSError:
        return "(no log)"
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


def failed(what, log):
    return Failure(f"{what} failed; the log is {log}, its last lines:\n{tail(log)}")


def run(argv, quiet_errors=False, timeout_s=60, **kwargs):
    """Runs a short command, returns its standard output; a failure shows its error output."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout_s, check=False,
                              **kwargs)
    except FileNotFoundError as error:
        raise Failure(f"{argv[0]} is not installed; run `cluster setup`") from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"`{' '.join(argv)}` did not end within {timeout_s} s") from error
    if done.returncode != 0 and not quiet_errors:
        raise Failure(f"`{' '.join(argv)}` failed with code {done.returncode}: "
                      f"{(done.stderr or done.stdout).strip()}")
    return done.stdout


def _die_with_parent():
    """In the child: a killed `cluster` must not leave a build behind that writes to the cache."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def run_logged(what, argv, log, note=None, **kwargs):
    """Runs a long command with its output in a log file and heartbeats in between.

    note() may return a few words about how far the command is.
    """
    os.makedirs(os.path.dirname(log), exist_ok=True)
    say(what)
    with open(log, "wb") as out:
        try:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT,
                                     preexec_fn=_die_with_parent, **kwargs)
        except FileNotFoundError as error:
            raise Failure(f"{argv[0]} is not installed; run `cluster setup`") from error
        try:
            while True:
                try:
                    code = child.wait(timeout=HEARTBEAT_S)
                    break
                except subprocess.TimeoutExpired:
                    extra = note() if note else ""
                    say(f"{what}{' – ' + extra if extra else ' …'}")
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if code != 0:
        raise failed(what, log)


def wait_for(what, condition, timeout_s, explain=None, interval_s=0.2):
    """Waits until condition() is true. explain() says what is missing when time is up."""
    deadline = time.monotonic() + timeout_s
    beat = time.monotonic() + HEARTBEAT_S
    while not condition():
        now = time.monotonic()
        if now > deadline:
            reason = f": {explain()}" if explain else ""
            raise Failure(f"{what}: not reached within {timeout_s} s{reason}")
        if now > beat:
            say(f"waiting: {what}")
            beat = now + HEARTBEAT_S
        time.sleep(interval_s)
