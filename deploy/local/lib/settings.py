"""What the local cluster looks like: versions, names, addresses and paths.

There is one cluster per machine, because network namespaces and cgroups have machine-wide names.
Addresses are from 198.18.0.0/15 (RFC 2544, test networks), so they never meet the host's own.
"""
import os
import subprocess

KUBERNETES_VERSION = "v1.36.4"
HELM_VERSION = "v4.3.1"
COREDNS_VERSION = "v1.15.0"

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
MODULES = os.path.join(HERE, "k8s")

STATE = os.path.abspath(os.environ.get("UNDERSTUDY_STATE") or "/var/lib/understudy-local")
CACHE = os.path.abspath(os.environ.get("UNDERSTUDY_CACHE") or
                        os.path.join(os.path.expanduser("~"), ".cache", "understudy"))
LOCK = "/run/lock/understudy-local.lock"
LOGS = os.path.join(STATE, "logs")
PIDS = os.path.join(STATE, "pids")
PKI = os.path.join(STATE, "pki")
KUBECONFIG = os.path.join(STATE, "admin.conf")
# Exists once `up` has finished; without it whatever runs is the rest of an unfinished `up`.
READY = os.path.join(STATE, "ready")
FAULTS = os.path.join(STATE, "faults.json")
# Exists while the API server is stopped on purpose.
API_STOPPED = os.path.join(STATE, "apiserver-stopped")
# In the environment of every daemon started here, never in that of a container.
MARK = "UNDERSTUDY_LOCAL_STATE"

REGION = "ap-northeast-1"
CONTROL_PLANE = "control-plane"
LAB_NETNS = "understudy-lab"
LAB_BRIDGE = "lab0"
API_ADDRESS = "198.18.0.1"
API_PORT = 6443
API_URL = f"https://{API_ADDRESS}:{API_PORT}"
NODE_PREFIX_BITS = 24
# Pods of node N: 198.19.N.0/24. The range ends before the Services'.
CLUSTER_CIDR = "198.19.0.0/17"
SERVICE_CIDR = "198.19.254.0/23"
API_SERVICE_IP = "198.19.254.1"
DNS_SERVICE_IP = "198.19.254.10"
CLUSTER_DOMAIN = "cluster.local"

PAUSE_IMAGE = "understudy.local/pause:1"
COREDNS_IMAGE = f"understudy.local/coredns:{COREDNS_VERSION}"
CNI_PLUGINS = "/usr/lib/cni"

# Daemon sockets live below STATE; the longest of their names must fit into sun_path (108 bytes).
MAX_STATE_LENGTH = 50


class Node:
    """One node: its names, addresses and directories. Index is 1, 2 or 3."""

    def __init__(self, index, letter):
        self.name = f"node-{letter}"
        self.zone = f"{REGION}{letter}"
        self.address = f"198.18.0.{10 + index}"
        self.pod_cidr = f"198.19.{index}.0/24"
        self.netns = f"understudy-{self.name}"
        self.veth = f"to-{self.name}"
        self.cgroup = f"understudy-{self.name}"
        self.dir = os.path.join(STATE, "nodes", self.name)
        self.run_dir = os.path.join(self.dir, "run")
        self.containerd_socket = os.path.join(self.run_dir, "containerd.sock")
        # Exists while the node is powered off on purpose.
        self.off = os.path.join(self.dir, "powered-off")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    @property
    def addresses(self):
        """Every address that traffic of this node can have: its own, its Pods', their gateway."""
        return [self.address, self.pod_cidr]


NODES = [Node(1, "a"), Node(2, "b"), Node(3, "c")]


def find_node(name):
    """The node of that name, or None."""
    return next((node for node in NODES if node.name == name), None)


def netns_path(name):
    return os.path.join("/run/netns", name)


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        return f.read().strip()


def bridge_filter_sysctls():
    """Commands' arguments that keep bridged frames out of the IP hooks, where that exists."""
    name = "net.bridge.bridge-nf-call-iptables"
    return [f"{name}=0"] if os.path.exists("/proc/sys/" + name.replace(".", "/")) else []


def in_netns(name, argv):
    """The command line that runs argv in a named network namespace, everything else unchanged.

    Not `ip netns exec`: it mounts a new /sys, which hides the cgroup hierarchies.
    """
    return ["nsenter", f"--net={netns_path(name)}", "--", *argv]


def quiet(argv):
    """Runs a command for its effect only; tells whether it succeeded."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0
