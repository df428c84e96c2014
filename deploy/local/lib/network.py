"""Network namespaces: one `lab` with a bridge and the control plane, one per node.

Each node hangs on the bridge by a veth pair: `eth0` in the node, `to-NODE` in the lab. The lab end
going down is the cable being pulled. No namespace has a way to the host's network.
"""
import os

import settings
from progress import run
from settings import LAB_BRIDGE, LAB_NETNS, NODES, netns_path, quiet


def _ip(*args):
    run(["ip", *args])


def _in(netns, *argv):
    run(settings.in_netns(netns, list(argv)))


def exists(netns):
    return os.path.exists(netns_path(netns))


def up():
    """Makes whatever is missing of the namespaces and links, all links up."""
    if not exists(LAB_NETNS):
        _ip("netns", "add", LAB_NETNS)
    if not quiet(["ip", "-n", LAB_NETNS, "link", "show", LAB_BRIDGE]):
        _ip("-n", LAB_NETNS, "link", "add", LAB_BRIDGE, "type", "bridge", "forward_delay", "0")
    _ip("-n", LAB_NETNS, "addr", "replace", f"{settings.API_ADDRESS}/{settings.NODE_PREFIX_BITS}",
        "dev", LAB_BRIDGE)
    for link in ("lo", LAB_BRIDGE):
        _ip("-n", LAB_NETNS, "link", "set", link, "up")
    _sysctl(LAB_NETNS, settings.bridge_filter_sysctls())
    for node in NODES:
        _node_up(node)
        _ip("-n", LAB_NETNS, "route", "replace", node.pod_cidr, "via", node.address)


def _node_up(node):
    if not exists(node.netns):
        _ip("netns", "add", node.netns)
    if not quiet(["ip", "-n", node.netns, "link", "show", "eth0"]):
        _ip("-n", LAB_NETNS, "link", "add", node.veth, "type", "veth", "peer", "name", "eth0",
            "netns", node.netns)
        _ip("-n", LAB_NETNS, "link", "set", node.veth, "master", LAB_BRIDGE)
    _ip("-n", node.netns, "addr", "replace", f"{node.address}/{settings.NODE_PREFIX_BITS}",
        "dev", "eth0")
    for link in ("lo", "eth0"):
        _ip("-n", node.netns, "link", "set", link, "up")
    set_link(node, True)
    for other in NODES:
        if other is not node:
            _ip("-n", node.netns, "route", "replace", other.pod_cidr, "via", other.address)
    # kube-proxy rewrites the address of a Service only after a route for it has been found.
    _ip("-n", node.netns, "route", "replace", settings.SERVICE_CIDR, "dev", "eth0")
    _sysctl(node.netns, ["net.ipv4.ip_forward=1", *settings.bridge_filter_sysctls()])


def _sysctl(netns, values):
    if values:
        _in(netns, "sysctl", "-qw", *values)


def set_link(node, is_up):
    """Plugs the node's cable in or pulls it."""
    _ip("-n", LAB_NETNS, "link", "set", node.veth, "up" if is_up else "down")


def link_is_up(node):
    path = run(["ip", "-n", LAB_NETNS, "-o", "link", "show", node.veth], quiet_errors=True)
    return ",UP" in path.partition(">")[0]


def forget_node_state(node):
    """What a machine loses when it loses power: rules, connections, interfaces of Pods."""
    _in(node.netns, "nft", "flush", "ruleset")
    names = run(["ip", "-n", node.netns, "-o", "link", "show", "type", "veth"]).splitlines()
    for line in names:
        name = line.split(":")[1].strip().partition("@")[0]
        if name != "eth0":
            quiet(["ip", "-n", node.netns, "link", "del", name])


def down():
    """Removes the links, then the names. Links go first: a namespace that a foreign process still
    uses lives on without its name, but then has no cable."""
    if exists(LAB_NETNS):
        for node in NODES:
            quiet(["ip", "-n", LAB_NETNS, "link", "del", node.veth])
        quiet(["ip", "-n", LAB_NETNS, "link", "del", LAB_BRIDGE])
    for name in [LAB_NETNS, *(node.netns for node in NODES)]:
        if exists(name):
            if not quiet(["ip", "netns", "del", name]):
                # Left by a reboot or a killed `ip netns add`: a plain file, not a mount.
                os.unlink(netns_path(name))
