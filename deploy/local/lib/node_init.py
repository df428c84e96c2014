"""Process 1 of a node: mounts, host name, then containerd, images, kube-proxy and kubelet.

Runs in the node's own mount, UTS, PID and network namespaces; the argument is the configuration
that node.py wrote. A daemon that ends is started again after a second, as a service manager would;
adopted orphans (containerd's shims) are reaped. The only way to stop it is SIGKILL from outside.
"""
import json
import os
import socket
import subprocess
import sys
import time

import cgroups

_SOCKET_TIMEOUT_S = 60
_RESTART_DELAY_S = 1


def _call(*argv, **kwargs):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, **kwargs)


def _mount(config):
    _call("mount", "--make-rprivate", "/")
    _call("mount", "-t", "proc", "proc", "/proc")
    for source, target in config["mounts"].items():
        _call("mount", "--bind", source, os.path.realpath(target))
    # Volumes that the kubelet mounts have to reach running containers.
    _call("mount", "--make-rshared", "/var/lib/kubelet")


class _Daemons:
    """Children by process id, and how to start each again."""

    def __init__(self, name, logs):
        self._name = name
        self._logs = logs
        self._running = {}

    def start(self, daemon, argv):
        path = os.path.join(self._logs, f"{self._name}-{daemon}.log")
        with open(path, "ab") as log:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     cwd="/", start_new_session=True)
        self._running[child.pid] = (daemon, argv)

    def supervise(self):
        while True:
            pid, status = os.wait()
            if pid in self._running:
                daemon, argv = self._running.pop(pid)
                print(f"{daemon} ended with status {status}; starting it again", flush=True)
                time.sleep(_RESTART_DELAY_S)
                self.start(daemon, argv)


def _wait_for_socket(path):
    deadline = time.monotonic() + _SOCKET_TIMEOUT_S
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.05)


def import_images(containerd_socket, directory):
    """Imports and removes every archive of the directory."""
    for name in sorted(os.listdir(directory)):
        if name.endswith(".tar"):
            path = os.path.join(directory, name)
            _call("ctr", "--address", containerd_socket, "--namespace", "k8s.io", "images",
                  "import", path)
            os.unlink(path)


def main():
    with open(sys.argv[1], encoding="ascii") as f:
        config = json.load(f)
    cgroups.enter(config["cgroup"], "system")
    socket.sethostname(config["name"])
    _mount(config)
    daemons = _Daemons(config["name"], config["logs"])
    daemons.start("containerd", config["containerd"])
    _wait_for_socket(config["containerd_socket"])
    import_images(config["containerd_socket"], config["images"])
    for daemon, argv in config["daemons"].items():
        daemons.start(daemon, argv)
    with open(config["booted"], "w", encoding="ascii"):
        pass
    daemons.supervise()


if __name__ == "__main__":
    main()
