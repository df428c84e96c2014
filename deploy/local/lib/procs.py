"""Daemons that outlive this command: started detached, recorded, and only ever killed when sure.

A record holds the process id and its start time (ticks since boot, /proc/PID/stat field 22);
both together name one process for ever. The child writes its own record before it becomes the
daemon, so that a killed `up` cannot leave an unrecorded daemon behind.
"""
import json
import os
import signal
import subprocess
import time

import settings
from progress import Failure, failed


def start_time(pid):
    """Start time of a living process in ticks, or None when there is none (a zombie is none)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _record(name):
    return os.path.join(settings.PIDS, name + ".json")


def log_path(name):
    return os.path.join(settings.LOGS, name + ".log")


def spawn(name, argv, env=None):
    """Starts argv as the daemon `name`, in a session of its own, output to its log file."""
    os.makedirs(settings.PIDS, exist_ok=True)
    os.makedirs(settings.LOGS, exist_ok=True)
    path = _record(name)

    def write_record():
        pid = os.getpid()
        with open(path + ".new", "w", encoding="ascii") as f:
            json.dump({"pid": pid, "start": start_time(pid), "boot": settings.boot_id()}, f)
        os.rename(path + ".new", path)

    environment = dict(os.environ if env is None else env)
    environment[settings.MARK] = settings.STATE
    with open(log_path(name), "ab") as log:
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                         env=environment, start_new_session=True, preexec_fn=write_record)


def pid_of(name):
    """Process id of the living daemon `name`, or None."""
    try:
        with open(_record(name), encoding="ascii") as f:
            record = json.load(f)
    except (OSError, ValueError):
        return None
    if record.get("boot") != settings.boot_id():
        return None
    pid = record["pid"]
    return pid if start_time(pid) == record["start"] else None


def names():
    try:
        entries = os.listdir(settings.PIDS)
    except FileNotFoundError:
        return []
    return sorted(entry[:-5] for entry in entries if entry.endswith(".json"))


def stop(name, timeout_s=10):
    """Kills the daemon and waits until it is gone. False when it did not run."""
    pid = pid_of(name)
    if pid is None:
        forget(name)
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    deadline = time.monotonic() + timeout_s
    while pid_of(name) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    if pid_of(name) is not None:
        raise Failure(f"{name} (process {pid}) could not be ended within {timeout_s} s")
    forget(name)
    return True


def marks():
    """{process id: state directory} of every living daemon that any `cluster` started, by the
    mark in its environment. Finds also those whose records were lost."""
    prefix = settings.MARK.encode() + b"="
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                for entry in f.read().split(b"\0"):
                    if entry.startswith(prefix):
                        found[int(pid)] = os.fsdecode(entry[len(prefix):])
        except OSError:
            pass
    return found


def end_all():
    """Ends every daemon of this state directory, whether or not it still has its record."""
    for pid, state in marks().items():
        if state != settings.STATE:
            continue
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            # Looked at again: the handle is now of one certain process.
            if marks().get(pid) == settings.STATE:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)


def forget(name):
    try:
        os.unlink(_record(name))
    except FileNotFoundError:
        pass


def check_running(name):
    if pid_of(name) is None:
        raise failed(name, log_path(name))


def children(pid):
    """Direct children of a single-threaded process."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []
