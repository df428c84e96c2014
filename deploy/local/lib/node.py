"""Nodes: their configuration files, power on, power off. The inside of a node is node_init.py."""
import json
import os
import shutil
import sys

import binaries
import cgroups
import control_plane
import network
import pki
import procs
import settings
from progress import Failure, wait_for

_CONTAINERD = """version = 2
root = {root}
state = {state}
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing"]
[grpc]
  address = {socket}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {pause}
  # Needed where CAP_SYS_RESOURCE is missing: nobody may then lower an OOM score.
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {cni_plugins}
    conf_dir = {cni_config}
"""


def _kubelet_config(node):
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                           "x509": {"clientCAFile": pki.path("ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.path(node.name + ".crt"),
        "tlsPrivateKeyFile": pki.path(node.name + ".key"),
        "clusterDomain": settings.CLUSTER_DOMAIN, "clusterDNS": [settings.DNS_SERVICE_IP],
        "resolvConf": node.path("resolv.conf"),
        "containerRuntimeEndpoint": "unix://" + node.containerd_socket,
        "cgroupDriver": "cgroupfs", "cgroupRoot": "/" + node.cgroup, "failCgroupV1": False,
        "failSwapOn": False, "oomScoreAdj": 0,
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": node.path("volume-plugins"),
        # There is nowhere to pull an image from again, and the disk belongs to the host.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%",
                         "nodefs.inodesFree": "1%", "imagefs.available": "1%"},
        # Fault tests kill containers again and again; the usual back-off grows to 5 minutes.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
    }


def _proxy_config(node):
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "nftables", "hostnameOverride": node.name,
        "clusterCIDR": settings.CLUSTER_CIDR, "detectLocalMode": "ClusterCIDR",
        "clientConnection": {"kubeconfig": pki.path("kube-proxy.conf")},
        "nftables": {"minSyncPeriod": "1s", "syncPeriod": "30s"},
        "conntrack": {"maxPerCore": 0, "min": 0}, "oomScoreAdj": 0,
    }


def _cni_config(node):
    """One routed point-to-point link per Pod (no bridge): every packet of a Pod, also one to a
    neighbour on its node, passes the node's forward hook, where kube-proxy and cuts work."""
    return {
        "cniVersion": "1.0.0", "name": "pods", "plugins": [
            {"type": "ptp", "ipMasq": False,
             "ipam": {"type": "host-local", "ranges": [[{"subnet": node.pod_cidr}]],
                      "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _labels(node):
    return {"topology.kubernetes.io/zone": node.zone,
            "topology.kubernetes.io/region": settings.REGION}


def _init_config(node):
    labels = ",".join(f"{key}={value}" for key, value in _labels(node).items())
    return {
        "name": node.name, "cgroup": node.cgroup, "booted": node.path("booted"),
        "images": node.path("images"), "logs": settings.LOGS,
        "containerd_socket": node.containerd_socket,
        "mounts": {
            node.path("kubelet"): "/var/lib/kubelet",
            node.path("cni"): "/var/lib/cni",
            node.path("log", "pods"): "/var/log/pods",
            node.path("log", "containers"): "/var/log/containers",
            os.path.join(node.run_dir, "netns"): "/run/netns",
            os.path.join(node.run_dir, "containerd-run"): "/run/containerd",
            node.path("resolv.conf"): "/etc/resolv.conf",
        },
        "containerd": ["containerd", "--config", node.path("containerd.toml")],
        "daemons": {
            "kube-proxy": [binaries.require("kube-proxy"),
                           f"--config={node.path('kube-proxy.json')}"],
            "kubelet": [binaries.require("kubelet"), f"--config={node.path('kubelet.json')}",
                        f"--kubeconfig={pki.path(node.name + '.conf')}",
                        f"--hostname-override={node.name}", f"--node-ip={node.address}",
                        f"--node-labels={labels}"],
        },
    }


def _write_json(path, value):
    with open(path, "w", encoding="ascii") as f:
        json.dump(value, f, indent=1)


def configure(node):
    """Writes every configuration file of the node."""
    init = _init_config(node)
    for source in init["mounts"]:
        if not source.endswith(".conf"):
            os.makedirs(source, exist_ok=True)
    for directory in ("images", "volume-plugins", "net.d"):
        os.makedirs(node.path(directory), exist_ok=True)
    with open(node.path("resolv.conf"), "w", encoding="ascii") as f:
        f.write(f"nameserver {settings.DNS_SERVICE_IP}\n"
                f"search svc.{settings.CLUSTER_DOMAIN} {settings.CLUSTER_DOMAIN}\n")
    quoted = {key: json.dumps(value) for key, value in {
        "root": node.path("containerd"), "state": os.path.join(node.run_dir, "containerd"),
        "socket": node.containerd_socket, "pause": settings.PAUSE_IMAGE,
        "cni_plugins": settings.CNI_PLUGINS, "cni_config": node.path("net.d")}.items()}
    with open(node.path("containerd.toml"), "w", encoding="ascii") as f:
        f.write(_CONTAINERD.format(**quoted))
    _write_json(node.path("net.d", "10-pods.conflist"), _cni_config(node))
    _write_json(node.path("kubelet.json"), _kubelet_config(node))
    _write_json(node.path("kube-proxy.json"), _proxy_config(node))
    _write_json(node.path("init.json"), init)


def mount_targets():
    """Directories and files of the host over which nodes mount their own."""
    return list(_init_config(settings.NODES[0])["mounts"].values())


def register(node):
    """Creates the Node object with its Pod range, unless there is one. The kubelet then finds it
    and fills in the rest; the range is thereby known before the node boots."""
    if control_plane.kubectl("get", "node", node.name)[0]:
        return
    manifest = {"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node.name, "labels": _labels(node)},
                "spec": {"podCIDR": node.pod_cidr, "podCIDRs": [node.pod_cidr]}}
    succeeded, text = control_plane.kubectl("create", "-f", "-", text_input=json.dumps(manifest))
    if not succeeded:
        raise Failure(f"cannot register {node.name}: {text}")


def is_running(node):
    return procs.pid_of(node.name) is not None


def init_pid(node):
    """Host process id of the node's process 1, or None."""
    pid = procs.pid_of(node.name)
    below = procs.children(pid) if pid else []
    return below[0] if below else None


def boot(node):
    """Switches the node on; returns as soon as its first process runs. See wait_booted()."""
    network.forget_node_state(node)
    stuck = cgroups.remove(node.cgroup)
    if stuck:
        raise Failure(f"control groups of an earlier run cannot be removed: {' '.join(stuck)}")
    # /run is memory on a real machine: nothing of it survives.
    shutil.rmtree(node.run_dir, ignore_errors=True)
    for leftover in (node.path("booted"), node.off):
        if os.path.exists(leftover):
            os.unlink(leftover)
    configure(node)
    cgroups.create(node.cgroup)
    init = os.path.join(settings.HERE, "lib", "node_init.py")
    procs.spawn(node.name, settings.in_netns(node.netns, [
        "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--",
        sys.executable, "-B", init, node.path("init.json")]))


def wait_booted(node):
    def booted():
        procs.check_running(node.name)
        return os.path.exists(node.path("booted"))

    wait_for(f"{node.name} booted", booted, 120)


def thaw(node):
    """Frozen processes of cgroup version 1 do not even die."""
    if cgroups.is_frozen(node.cgroup):
        cgroups.freeze(node.cgroup, False)


def kill(node):
    """Ends every process of the node at once: they share a PID namespace with its process 1."""
    thaw(node)
    # unshare ignores SIGTERM; its death takes the node's process 1 along.
    killed = procs.stop(node.name)
    stuck = cgroups.remove(node.cgroup)
    if stuck:
        raise Failure(f"control groups of {node.name} cannot be removed: {' '.join(stuck)}")
    return killed


def power_off(node):
    """Links first, so that no dying process can say goodbye to anyone."""
    network.set_link(node, False)
    kill(node)
    with open(node.off, "w", encoding="ascii"):
        pass


def is_off(node):
    return os.path.exists(node.off)
