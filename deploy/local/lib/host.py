"""Traces that the cluster leaves on the host, so that `down` can take them away again."""
import json
import os
from concurrent.futures import ThreadPoolExecutor

import cgroups
import node as nodes
import settings
from settings import quiet

_TRACES = os.path.join(settings.STATE, "host.json")
# The first `ip netns add` since boot makes this a mount point.
_NETNS_DIRECTORY = "/run/netns"
# The kubelet sets these for the whole machine.
_SYSCTLS = ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
            "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"]
# Three kubelets and containerds of one user need more than the usual 128.
_INOTIFY, _INOTIFY_INSTANCES = "fs/inotify/max_user_instances", 1024


def _read_sysctl(name):
    try:
        with open("/proc/sys/" + name, encoding="ascii") as f:
            return f.read().strip()
    except OSError:
        return None


def _write_sysctl(name, value):
    with open("/proc/sys/" + name, "w", encoding="ascii") as f:
        f.write(value)


def prepare():
    """Notes the host's settings and makes the directories over which nodes mount their own."""
    if os.path.exists(_TRACES):
        return
    traces = {"boot": settings.boot_id(),
              "sysctls": {name: _read_sysctl(name) for name in [*_SYSCTLS, _INOTIFY]},
              "created": [],
              "netns_mounted": os.path.ismount(_NETNS_DIRECTORY)}
    for target in nodes.mount_targets():
        missing = []
        # /etc/resolv.conf is the only file among them and exists wherever anything works.
        while not os.path.exists(target):
            missing.insert(0, target)
            target = os.path.dirname(target)
        traces["created"] += [path for path in missing if path not in traces["created"]]
    with open(_TRACES + ".new", "w", encoding="ascii") as f:
        json.dump(traces, f, indent=1)
    os.rename(_TRACES + ".new", _TRACES)
    for path in traces["created"]:
        os.makedirs(path, exist_ok=True)
    if int(_read_sysctl(_INOTIFY) or _INOTIFY_INSTANCES) < _INOTIFY_INSTANCES:
        _write_sysctl(_INOTIFY, str(_INOTIFY_INSTANCES))


def _restore():
    try:
        with open(_TRACES, encoding="ascii") as f:
            traces = json.load(f)
    except (OSError, ValueError):
        return
    for name, value in traces["sysctls"].items():
        # After a reboot the values are the machine's own again.
        if value is not None and traces["boot"] == settings.boot_id() and \
                _read_sysctl(name) != value:
            _write_sysctl(name, value)
    if not traces.get("netns_mounted", True) and not os.listdir(_NETNS_DIRECTORY):
        quiet(["umount", _NETNS_DIRECTORY])
    for path in reversed(traces["created"]):
        try:
            os.rmdir(path)
        except OSError:
            # Somebody else uses it by now.
            pass


def _mounts_below(directory):
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        points = [line.split()[4] for line in f]
    return [point for point in points if point.startswith(directory + "/")]


def _attempt(remove, path):
    try:
        remove(path)
    except OSError:
        pass  # the caller looks at what is left


def _delete(top):
    """Removes a directory tree. Images unpacked on three nodes are some ten thousand files; where
    the file system tells the disk of each one that goes (mount option `discard`) that takes a
    minute one after the other, and a few seconds in parallel."""
    files = []
    levels = {}
    for directory, below, names in os.walk(top):
        links = [name for name in below if os.path.islink(os.path.join(directory, name))]
        files += [os.path.join(directory, name) for name in [*names, *links]]
        levels.setdefault(directory.count("/"), []).append(directory)
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda path: _attempt(os.unlink, path), files))
        for level in sorted(levels, reverse=True):
            list(pool.map(lambda path: _attempt(os.rmdir, path), levels[level]))


def clean():
    """Undoes prepare() and removes control groups, mounts and the state directory. Returns what
    could not be removed."""
    left = []
    for node in settings.NODES:
        left += cgroups.remove(node.cgroup)
    for point in reversed(_mounts_below(settings.STATE)):
        if not quiet(["umount", "--lazy", point]):
            left.append(point)
    _restore()
    # Never delete through a mount.
    if not _mounts_below(settings.STATE):
        _delete(settings.STATE)
    if os.path.exists(settings.STATE):
        left.append(settings.STATE)
    return left
