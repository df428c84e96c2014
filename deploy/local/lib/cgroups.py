"""Control groups of the nodes: create, freeze, list the processes of, remove.

Version 1 has one directory per node in each hierarchy, version 2 a single one.
"""
import os
import time

ROOT = "/sys/fs/cgroup"
_UNIFIED = os.path.join(ROOT, "cgroup.controllers")


def is_v2():
    return os.path.exists(_UNIFIED)


def hierarchies():
    """Directories whose children are control groups."""
    if is_v2():
        return [ROOT]
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            mount, _, kind = line.partition(" - ")
            point = mount.split()[4]
            # Beside version 1 hierarchies there may be one of version 2 without controllers, in
            # which runc makes groups, too.
            if kind.split()[0] in ("cgroup", "cgroup2") and os.path.dirname(point) == ROOT:
                found[os.path.realpath(point)] = True
    return list(found)


def _read(path):
    try:
        with open(path, encoding="ascii") as f:
            return f.read().strip()
    except OSError:
        return ""


def _write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def create(name):
    if is_v2():
        wanted = [c for c in ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")
                  if c in _read(_UNIFIED).split()]
        _write(os.path.join(ROOT, "cgroup.subtree_control"), " ".join("+" + c for c in wanted))
    for hierarchy in hierarchies():
        directory = os.path.join(hierarchy, name)
        os.makedirs(directory, exist_ok=True)
        # A new v1 cpuset is empty and takes no process until it has its parent's values.
        for field in ("cpuset.cpus", "cpuset.mems"):
            target = os.path.join(directory, field)
            if not is_v2() and os.path.exists(target) and not _read(target):
                _write(target, _read(os.path.join(hierarchy, field)))


def _freezer(name):
    return os.path.join(ROOT, name) if is_v2() else os.path.join(ROOT, "freezer", name)


def enter(name, leaf):
    """Puts the calling process into NAME/LEAF of the hierarchy that can freeze."""
    directory = os.path.join(_freezer(name), leaf)
    os.makedirs(directory, exist_ok=True)
    _write(os.path.join(directory, "cgroup.procs"), "0")


def is_frozen(name):
    directory = _freezer(name)
    if is_v2():
        return _read(os.path.join(directory, "cgroup.freeze")) == "1"
    return _read(os.path.join(directory, "freezer.self_freezing")) == "1"


def freeze(name, frozen, timeout_s=10):
    """Freezes or thaws every process in and below the group. False if it did not settle."""
    directory = _freezer(name)
    if not os.path.isdir(directory):
        return False
    if is_v2():
        _write(os.path.join(directory, "cgroup.freeze"), "1" if frozen else "0")
    else:
        _write(os.path.join(directory, "freezer.state"), "FROZEN" if frozen else "THAWED")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if is_v2():
            events = dict(line.split() for line in
                          _read(os.path.join(directory, "cgroup.events")).splitlines())
            settled = events.get("frozen") == ("1" if frozen else "0")
        else:
            settled = (_read(os.path.join(directory, "freezer.state")) ==
                       ("FROZEN" if frozen else "THAWED"))
        if settled:
            return True
        time.sleep(0.02)
    return False


def pids(path):
    """Host process ids in and below a group, whose path is relative to the hierarchy."""
    path = path.lstrip("/")
    top = os.path.join(ROOT, path) if is_v2() else os.path.join(ROOT, "pids", path)
    found = []
    for directory, _, _ in os.walk(top):
        found += [int(word) for word in
                  _read(os.path.join(directory, "cgroup.procs")).split()]
    return found


def existing(prefix):
    """Top-level groups in any hierarchy whose name starts with prefix."""
    found = []
    for hierarchy in hierarchies():
        found += [os.path.join(hierarchy, entry.name) for entry in os.scandir(hierarchy)
                  if entry.is_dir() and entry.name.startswith(prefix)]
    return found


def remove(name, timeout_s=15):
    """Removes the group everywhere. Returns the directories that would not go."""
    deadline = time.monotonic() + timeout_s
    while True:
        left = [path for hierarchy in hierarchies()
                for path in [os.path.join(hierarchy, name)] if not _remove_tree(path)]
        if not left or time.monotonic() > deadline:
            return left
        # Killed processes take a moment to leave.
        time.sleep(0.1)


def _remove_tree(top):
    for directory, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            return False
    return not os.path.isdir(top)
