"""Faults: cuts, one-way cuts, frozen and killed things, outages of nodes and of the API."""
import os
import signal

from harness import (NODES, NODE_ADDRESSES, ask, check, cluster, datagram_arrives,
                     eventually, must, objects, pods, ready_nodes, start)


def _name(item):
    return "default/" + item["metadata"]["name"]


def test_cut_pod():
    by_node = pods()
    victim, other = by_node["node-b"], by_node["node-c"]
    address = victim["status"]["podIP"]
    must("cut", _name(victim))
    for place in ("node-a", "node-b", _name(other), "control-plane"):
        check(f"a cut Pod is not reached from {place}", ask(place, address) is None)
    check("a cut Pod reaches nobody", ask(_name(victim), other["status"]["podIP"]) is None)
    check("its neighbours are reached", ask("node-b", other["status"]["podIP"]) is not None)
    check("status names the cut", _name(victim) in must("status"))
    check("exec still works", cluster("kubectl", "exec", victim["metadata"]["name"], "--",
                                      "true").returncode == 0)
    must("heal")
    check("a healed Pod is reached", ask("node-a", address) is not None)
    must("cut", _name(victim), "--from", _name(other))
    check("cut from one Pod: not from that one", ask(_name(other), address) is None)
    check("cut from one Pod: still from another",
          ask(_name(by_node["node-a"]), address) is not None)
    must("heal")
    check("healed again", ask(_name(other), address) is not None)
    # Two Pods of one node never leave it; the cut must hold there, too.
    must("cut", _name(victim), "--from", "node-b")
    check("cut from its own node", ask("node-b", address) is None)
    check("but not from another node", ask("node-a", address) is not None)
    must("heal")


def test_cut_pairs():
    by_node = pods()
    address = {node: item["status"]["podIP"] for node, item in by_node.items()}
    must("cut", "node-a", "--from", "node-b")
    for source, target, open_way in (("node-a", "node-b", False), ("node-b", "node-a", False),
                                     ("node-a", "node-c", True), ("node-c", "node-b", True)):
        word = "open" if open_way else "cut"
        check(f"{source} to a Pod of {target} is {word}",
              (ask(source, address[target]) is not None) == open_way)
        check(f"from Pod to Pod, {source} to {target}, is {word}",
              (ask(_name(by_node[source]), address[target]) is not None) == open_way)
    must("heal")
    check("healed", ask("node-a", address["node-b"]) is not None)
    must("cut", "node-a", "--from", "control-plane")
    script = "import socket; socket.create_connection(('198.18.0.1', 6443), 2)"
    check("a node cut from the control plane does not reach the API",
          cluster("exec-net", "node-a", "--", "python3", "-c", script).returncode != 0)
    check("but reaches Pods elsewhere", ask("node-a", address["node-b"]) is not None)
    must("heal")
    check("and the API again when healed",
          cluster("exec-net", "node-a", "--", "python3", "-c", script).returncode == 0)


def test_one_way():
    check("datagrams arrive before", datagram_arrives("node-a", "node-b",
                                                      NODE_ADDRESSES["node-b"]))
    must("cut", "node-a", "--from", "node-b", "--one-way")
    check("one way: a to b is dropped",
          not datagram_arrives("node-a", "node-b", NODE_ADDRESSES["node-b"]))
    check("one way: b to a arrives",
          datagram_arrives("node-b", "node-a", NODE_ADDRESSES["node-a"]))
    must("heal")
    by_node = pods()
    first, second = by_node["node-a"], by_node["node-c"]
    must("cut", _name(first), "--from", _name(second), "--one-way")
    check("one way between Pods: dropped",
          not datagram_arrives(_name(first), _name(second), second["status"]["podIP"]))
    check("one way between Pods: the other way arrives",
          datagram_arrives(_name(second), _name(first), first["status"]["podIP"]))
    must("heal")
    must("cut", "node-c", "--one-way")
    check("a mute node sends nothing",
          not datagram_arrives("node-c", "node-a", NODE_ADDRESSES["node-a"]))
    check("a mute node hears", datagram_arrives("node-a", "node-c", NODE_ADDRESSES["node-c"]))
    must("heal")
    must("cut", _name(first), "--one-way")
    check("a mute Pod sends nothing",
          not datagram_arrives(_name(first), "node-b", NODE_ADDRESSES["node-b"]))
    check("a mute Pod hears", datagram_arrives("node-b", _name(first), first["status"]["podIP"]))
    must("heal")
    check("healed", datagram_arrives(_name(first), "node-b", NODE_ADDRESSES["node-b"]))


def _restarts(name):
    return objects("pod", name)["status"]["containerStatuses"][0]["restartCount"]


def test_processes():
    item = pods()["node-a"]
    name, address = item["metadata"]["name"], item["status"]["podIP"]
    must("freeze", name)
    pids = [int(line) for line in must("pids", name).split()]
    states = [_state(pid) for pid in pids]
    check("every process of a frozen Pod is stopped", pids and set(states) == {"T"}, states)
    check("a frozen Pod does not answer", ask("node-b", address) is None)
    must("thaw", name)
    check("a thawed Pod answers", ask("node-b", address) == name)
    check("pids -l names the container", must("pids", "-l", name).split()[1:2] == ["echo"])
    before = _restarts(name)
    for round_number in range(1, 5):
        victim = int(must("pids", name).split()[0])
        with open(f"/proc/{victim}/cmdline", encoding="ascii") as f:
            check("the first of pids is the container's first process",
                  f.read().split("\0")[:2] == ["perl", "/server.pl"], victim)
        os.kill(victim, signal.SIGKILL)
        took = eventually(lambda v=victim: (cluster("pids", name).stdout.split() or [str(v)])[0]
                          != str(v) and ask("node-b", address) == name, 30)
        # With the usual back-off it would be 40 s at the fourth time.
        check(f"crash {round_number}: the container is back within 15 s", took and took < 15, took)
    check("the restarts are counted", eventually(lambda: _restarts(name) == before + 4, 15),
          _restarts(name))
    item = pods()["node-a"]
    check("it is the same Pod with the same address", item["metadata"]["name"] == name and
          item["status"]["podIP"] == address)


def _state(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        return f.read().rpartition(")")[2].split()[0]


def test_outage():
    """One node each frozen, cut off and without power at the same time."""
    by_node = pods()
    check("a frozen node's processes are there before", _healthy("node-a"))
    address = by_node["node-c"]["status"]["podIP"]
    watcher = start("exec-net", "control-plane", "--", "python3", "-c",
                    f"import socket\ns = socket.create_connection(('{address}', 80))\n"
                    "s.sendall(b'who\\n'); print(s.recv(100).decode().strip(), flush=True)\n"
                    "s.settimeout(8)\n"
                    "try: print('heard', s.recv(100))\n"
                    "except TimeoutError: print('silence')")
    check("a connection to the node to be powered off",
          watcher.stdout.readline().strip() == by_node["node-c"]["metadata"]["name"])
    must("poweroff", "node-c")
    must("cut", "node-b")
    must("freeze", "node-a")
    check("poweroff says goodbye to nobody", "silence" in watcher.communicate(timeout=60)[0])
    check("a frozen node does not answer", not _healthy("node-a"))
    check("a cut node is not reached",
          ask("control-plane", by_node["node-b"]["status"]["podIP"]) is None)
    done = cluster("status")
    check("status tells all three, with code 1", done.returncode == 1 and
          "powered off" in done.stdout and "frozen" in done.stdout and
          "link of node-b is down" in done.stdout, done)
    took = eventually(lambda: not ready_nodes(), 90)
    check("all three become NotReady", took, ready_nodes())
    must("start", "node-c")
    must("heal")
    must("thaw", "node-a")
    took = eventually(lambda: ready_nodes() == NODES, 90)
    check("all three become Ready again", took, ready_nodes())
    check("the thawed node answers", _healthy("node-a"))
    # Addresses may have changed on the node that lost power: ask through the Service.
    took = eventually(lambda: sorted(pods()) == NODES and all(
        ask("control-plane", item["status"]["podIP"]) for item in pods().values()), 90)
    check("a Pod on each node answers again", took, sorted(pods()))
    done = cluster("status")
    check("status is 0 again", done.returncode == 0, done)


def _healthy(node):
    script = ("import urllib.request as r; "
              "print(r.urlopen('http://127.0.0.1:10248/healthz', timeout=2).read().decode())")
    return cluster("exec-net", node, "--", "python3", "-c", script).stdout.strip() == "ok"


def test_apiserver():
    uid = objects("deployment", "echo")["metadata"]["uid"]
    item = pods()["node-b"]
    name, address = _name(item), item["status"]["podIP"]
    must("apiserver", "stop")
    done = cluster("kubectl", "get", "nodes", "--request-timeout=2s")
    check("a stopped API server does not answer", done.returncode != 0, done)
    check("Pods go on without it", ask("node-a", address) is not None)
    check("status says so, with code 1", cluster("status").returncode == 1)
    check("pids works without it", must("pids", name).strip())
    must("cut", name)
    check("cut works without it", ask("node-a", address) is None)
    must("heal")
    must("apiserver", "start")
    check("with the same data", objects("deployment", "echo")["metadata"]["uid"] == uid)
    check("nodes stay or become Ready", eventually(lambda: ready_nodes() == NODES, 60))
