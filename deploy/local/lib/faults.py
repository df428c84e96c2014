"""Faults on purpose: cut links and paths, frozen nodes and Pods.

The file FAULTS holds every cut; the nft table of each namespace is always rewritten from it as a
whole, so that healing or a rebooted node cannot leave a rule behind. A drop from A to B is placed
where B's traffic arrives (B's node, or the lab for the control plane): a sender never sees an
error that a real network would not give.
"""
import json
import os
import signal
import subprocess
import time

import cgroups
import network
import node as nodes
import pods
import settings
from progress import Failure

_TABLE = "understudy_faults"
_HOOKS = ("forward", "input", "output")
# Before kube-proxy's filter chains, after its destination NAT: addresses are the real ones.
_PRIORITY = -10


def load():
    try:
        with open(settings.FAULTS, encoding="ascii") as f:
            return json.load(f)
    except FileNotFoundError:
        return {"links": [], "drops": []}


def _store(faults):
    with open(settings.FAULTS + ".new", "w", encoding="ascii") as f:
        json.dump(faults, f, indent=1)
    os.rename(settings.FAULTS + ".new", settings.FAULTS)


def _endpoint(text):
    """Where packets of a node, the control plane or a Pod come from and arrive."""
    if text == settings.CONTROL_PLANE:
        return {"name": text, "netns": settings.LAB_NETNS, "addresses": [settings.API_ADDRESS]}
    node = settings.find_node(text)
    if node is not None:
        return {"name": text, "netns": node.netns, "addresses": node.addresses}
    pod = pods.find(text)
    return {"name": pod.name, "netns": pod.node.netns, "addresses": [pod.address()]}


def _rule(source, destination):
    words = []
    for direction, endpoint in (("saddr", source), ("daddr", destination)):
        if endpoint is not None:
            words.append(f"ip {direction} {{ {', '.join(endpoint['addresses'])} }}")
    return " ".join([*words, "counter", "drop"])


def apply(faults, namespaces=None):
    """Makes the rules of the namespaces (all if None) what the faults say."""
    for netns in namespaces or [settings.LAB_NETNS, *(node.netns for node in settings.NODES)]:
        rules = [_rule(drop["from"], drop["to"]) for drop in faults["drops"]
                 if drop["netns"] == netns]
        lines = [f"table ip {_TABLE} {{ }}", f"delete table ip {_TABLE}"]
        if rules:
            lines.append(f"table ip {_TABLE} {{")
            for hook in _HOOKS:
                lines += [f"chain {hook} {{",
                          f"type filter hook {hook} priority {_PRIORITY}; policy accept;", *rules,
                          "}"]
            lines.append("}")
        done = subprocess.run(settings.in_netns(netns, ["nft", "-f", "-"]),
                              input="\n".join(lines) + "\n", capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise Failure(f"nft refused the rules for {netns}: {done.stderr.strip()}")


def apply_link(node, faults):
    network.set_link(node, node.name not in faults["links"] and not nodes.is_off(node))


def cut(first, second, one_way):
    """Cuts `first` off from everything, or from `second`; one_way drops only what first sends."""
    faults = load()
    node = settings.find_node(first)
    if first == settings.CONTROL_PLANE and second is None:
        raise Failure("the control plane can only be cut from something; give --from NODE|POD, or "
                      "use `apiserver stop`")
    if node is not None and second is None and not one_way:
        if node.name not in faults["links"]:
            faults["links"].append(node.name)
        _store(faults)
        apply_link(node, faults)
        return
    source = _endpoint(first)
    if second is not None:
        target = _endpoint(second)
        if target["name"] == source["name"]:
            raise Failure(f"{first} cannot be cut from itself")
        drops = [_drop(source, target)]
        if not one_way:
            drops.append(_drop(target, source))
    elif node is not None:
        # What the node sends is dropped wherever it arrives.
        others = [other.name for other in settings.NODES if other is not node]
        drops = [_drop(source, _endpoint(other)) for other in [*others, settings.CONTROL_PLANE]]
    else:
        drops = [{"from": source, "to": None, "netns": source["netns"]}]
        if not one_way:
            drops.append({"from": None, "to": source, "netns": source["netns"]})
    faults["drops"] += [drop for drop in drops if drop not in faults["drops"]]
    _store(faults)
    apply(faults)


def _drop(source, target):
    return {"from": source, "to": target, "netns": target["netns"]}


def heal():
    """Ends every cut. Returns how many there were."""
    old = load()
    faults = {"links": [], "drops": []}
    _store(faults)
    for node in settings.NODES:
        apply_link(node, faults)
    apply(faults)
    return len(old["links"]) + len(old["drops"])


def describe(faults):
    """One line for each cut."""
    lines = [f"link of {name} is down" for name in faults["links"]]
    for drop in faults["drops"]:
        source = drop["from"]["name"] if drop["from"] else "everything"
        target = drop["to"]["name"] if drop["to"] else "everything"
        lines.append(f"dropped: {source} -> {target}")
    return lines


def _freeze_node(node, frozen):
    if not nodes.is_running(node):
        raise Failure(f"{node.name} is not running")
    if not cgroups.freeze(node.cgroup, frozen):
        raise Failure(f"{node.name} did not {'freeze' if frozen else 'thaw'} within 10 s")


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _signal_pod(pod_name, number, wanted):
    """Signals every process of the Pod until all are in the wanted state: processes that were
    being forked meanwhile are caught by a later round."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pids = pods.find(pod_name).pids()
        if not pids:
            raise Failure(f"Pod {pod_name} has no running container")
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
        if all(wanted(_state(pid)) for pid in pods.find(pod_name).pids()):
            return
    raise Failure(f"the processes of Pod {pod_name} did not all follow {number.name} within 10 s")


def freeze(target):
    node = settings.find_node(target)
    if node is not None:
        _freeze_node(node, True)
    else:
        _signal_pod(target, signal.SIGSTOP, lambda state: state in "TtZX")


def thaw(target):
    node = settings.find_node(target)
    if node is not None:
        _freeze_node(node, False)
    else:
        _signal_pod(target, signal.SIGCONT, lambda state: state not in "Tt")
