"""Finds a Pod's containers, processes and address by asking containerd, so that it works as well
while the API server is stopped or cut off."""
import json
import subprocess

import cgroups
import node as nodes
import settings
from progress import Failure, run

_LABEL = "io.kubernetes."


class Container:
    """A container with living processes. Its own first process comes first in pids."""

    def __init__(self, name, is_sandbox, pids):
        self.name = name
        self.is_sandbox = is_sandbox
        self.pids = pids


class Pod:
    def __init__(self, name, node, containers):
        self.name = name
        self.node = node
        self.containers = containers

    @property
    def sandbox_pid(self):
        for container in self.containers:
            if container.is_sandbox:
                return container.pids[0]
        raise Failure(f"Pod {self.name} has no running sandbox")

    def pids(self):
        """Host process ids of the Pod's containers, without the sandbox's pause."""
        return [pid for container in self.containers if not container.is_sandbox
                for pid in container.pids]

    def address(self):
        netns = f"/proc/{self.sandbox_pid}/ns/net"
        text = run(["nsenter", f"--net={netns}", "--", "ip", "-4", "-json", "addr", "show"])
        addresses = [info["local"] for link in json.loads(text) for info in link["addr_info"]
                     if link["ifname"] == "eth0"]
        if not addresses:
            raise Failure(f"Pod {self.name} has no address yet")
        if addresses[0] == self.node.address:
            raise Failure(f"Pod {self.name} uses the network of {self.node.name}; "
                          "name the node instead")
        return addresses[0]


def _ctr(node, *args):
    argv = ["ctr", "--address", node.containerd_socket, "--namespace", "k8s.io", *args]
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=True, timeout=10).stdout
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        # The node is dying or its containerd restarts; the Pod is then not found on it.
        return ""


def split_name(text):
    namespace, slash, name = text.rpartition("/")
    if not name or (slash and not namespace):
        raise Failure(f"`{text}` is neither a node ({', '.join(n.name for n in settings.NODES)}) "
                      "nor a Pod, which is written NAMESPACE/NAME")
    return namespace or "default", name


def _containers(node, namespace, name):
    found = []
    ids = _ctr(node, "containers", "list", "--quiet",
               f'labels."{_LABEL}pod.name"=={name},labels."{_LABEL}pod.namespace"=={namespace}')
    for container_id in ids.split():
        text = _ctr(node, "containers", "info", container_id)
        if not text:
            continue
        info = json.loads(text)
        pids = cgroups.pids(info["Spec"]["linux"]["cgroupsPath"])
        if pids:
            labels = info["Labels"]
            found.append(Container(labels.get(_LABEL + "container.name", "pause"),
                                   labels.get("io.cri-containerd.kind") == "sandbox",
                                   sorted(pids, key=_age)))
    return found


def _age(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return int(f.read().rpartition(")")[2].split()[19]), pid
    except OSError:
        return float("inf"), pid


def find(text):
    """The running Pod of that name (NAMESPACE/NAME, namespace `default` if left out)."""
    namespace, name = split_name(text)
    for node in settings.NODES:
        if nodes.is_running(node) and not cgroups.is_frozen(node.cgroup):
            containers = _containers(node, namespace, name)
            if any(container.is_sandbox for container in containers):
                return Pod(f"{namespace}/{name}", node, containers)
    raise Failure(f"no node runs a Pod {namespace}/{name}")
