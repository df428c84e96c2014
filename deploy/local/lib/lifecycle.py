"""up, down and status: the cluster as a whole."""
import json
import os

import binaries
import cgroups
import control_plane
import faults
import host
import images
import network
import node as nodes
import pki
import procs
import settings
from progress import Failure, say, wait_for
from settings import NODES


def check_machine():
    if os.geteuid() != 0:
        raise Failure("the cluster needs root: it makes namespaces, mounts and control groups")
    if len(settings.STATE) > settings.MAX_STATE_LENGTH:
        raise Failure(f"UNDERSTUDY_STATE may have at most {settings.MAX_STATE_LENGTH} characters "
                      f"(paths of Unix sockets are limited); {settings.STATE} has "
                      f"{len(settings.STATE)}")
    if not cgroups.hierarchies():
        raise Failure(f"no control groups are mounted below {cgroups.ROOT}")


def check_no_other():
    """Namespaces and control groups have machine-wide names: one cluster at a time."""
    for state in procs.marks().values():
        if state != settings.STATE:
            raise Failure(f"another local cluster runs, with UNDERSTUDY_STATE={state}; there can "
                          "be one on a machine, so end it first with that setting")


def setup():
    """Installs and builds everything; starts nothing."""
    binaries.install_packages()
    binaries.build()
    images.own_archives()


def is_complete():
    return os.path.exists(settings.READY)


def require_up():
    if not is_complete():
        raise Failure("the local cluster is not up; run `cluster up`")


def _survived():
    """Whether the state directory belongs to a cluster that finished its `up` since the last
    boot; then only what is missing has to be started."""
    if not is_complete():
        return False
    with open(settings.READY, encoding="ascii") as f:
        if f.read() != settings.boot_id():
            return False
    return network.exists(settings.LAB_NETNS) and all(network.exists(n.netns) for n in NODES)


def up():
    check_no_other()
    setup()
    if not _survived():
        if _exists():
            say("removing what an earlier run left behind")
            down()
        os.makedirs(settings.STATE)
        host.prepare()
    started = _converge()
    if is_complete() and not started:
        say("the cluster was running already")
    else:
        with open(settings.READY, "w", encoding="ascii") as f:
            f.write(settings.boot_id())
        say("the cluster is up")
    _print_usage()


def _exists():
    return (os.path.exists(settings.STATE) or network.exists(settings.LAB_NETNS) or
            any(network.exists(n.netns) for n in NODES) or
            any(cgroups.existing(n.cgroup) for n in NODES))


def _converge():
    """Starts what does not run and ends every fault. Returns what had to be done."""
    done = []
    network.up()
    if os.path.exists(settings.FAULTS) and faults.heal():
        done.append("heal")
    pki.create()
    done += control_plane.up()
    booting = []
    for node in NODES:
        if cgroups.is_frozen(node.cgroup) and nodes.is_running(node):
            cgroups.freeze(node.cgroup, False)
            done.append(node.name)
        nodes.register(node)
        if not nodes.is_running(node):
            if not is_complete():
                images.queue_own(node)
            nodes.boot(node)
            network.set_link(node, True)
            booting.append(node)
    if booting:
        say(f"booting {', '.join(node.name for node in booting)}")
    for node in booting:
        nodes.wait_booted(node)
    done += [node.name for node in booting]
    if not is_complete():
        with open(os.path.join(settings.HERE, "lib", "coredns.yaml"), encoding="ascii") as f:
            manifest = f.read()
        for key, value in {"@DOMAIN@": settings.CLUSTER_DOMAIN, "@IMAGE@": settings.COREDNS_IMAGE,
                           "@ADDRESS@": settings.DNS_SERVICE_IP}.items():
            manifest = manifest.replace(key, value)
        control_plane.apply(manifest)
    if done:
        say("waiting until the nodes are Ready and CoreDNS runs on each")
    wait_for("three Ready nodes with CoreDNS", lambda: not _missing(), 240,
             lambda: "; ".join(_missing()), interval_s=0.5)
    return done


def _condition(item):
    return next((c for c in item.get("status", {}).get("conditions", [])
                 if c["type"] == "Ready"), {})


def _missing():
    """What keeps the cluster from being usable, in words."""
    succeeded, text = control_plane.kubectl("get", "nodes", "-o", "json")
    if not succeeded:
        return [text]
    ready = {item["metadata"]["name"]: _condition(item) for item in json.loads(text)["items"]}
    missing = [f"{node.name} is not Ready ({ready.get(node.name, {}).get('message', 'no status')})"
               for node in NODES if ready.get(node.name, {}).get("status") != "True"]
    if missing:
        return missing
    succeeded, text = control_plane.kubectl("get", "pods", "-n", "kube-system", "-l",
                                            "k8s-app=kube-dns", "-o", "json")
    if not succeeded:
        return [text]
    serving = {item["spec"].get("nodeName") for item in json.loads(text)["items"]
               if _condition(item).get("status") == "True"}
    return [f"CoreDNS does not run on {node.name}" for node in NODES if node.name not in serving]


def _print_usage():
    print(f"""
Kubernetes {settings.KUBERNETES_VERSION}: {', '.join(f'{n.name} ({n.zone})' for n in NODES)}
  deploy/local/cluster kubectl get nodes        any kubectl command; `cluster helm …` likewise
  deploy/local/cluster status                   what runs, what is cut
  deploy/local/cluster down                     removes everything but the caches
KUBECONFIG is {settings.KUBECONFIG}; the API is reachable only through `cluster kubectl`,
`cluster helm` and `cluster exec-net`.""")


def down():
    """Removes everything but the caches."""
    check_no_other()
    errors = []
    for step in [*(lambda n=node: nodes.thaw(n) for node in NODES), procs.end_all,
                 *(lambda n=node: nodes.kill(n) for node in NODES),
                 *(lambda n=name: procs.stop(n) for name in procs.names()), network.down]:
        try:
            step()
        except Failure as error:
            errors.append(str(error))
    errors += [f"{path} could not be removed" for path in host.clean()]
    if errors:
        raise Failure("; ".join(errors))


def status():
    """Prints what runs. Returns the exit code: 0 all runs, 1 not all of it, 3 nothing is up."""
    if not is_complete():
        print("down" if not _exists() else
              "incomplete: an earlier `up` did not finish; run `cluster up` or `cluster down`")
        return 3
    all_run = True
    for name in control_plane.names():
        pid = procs.pid_of(name)
        all_run = all_run and pid is not None
        stopped = name == "kube-apiserver" and os.path.exists(settings.API_STOPPED)
        print(f"{name:24} {f'running, process {pid}' if pid else 'stopped' if stopped else 'dead'}")
    for node in NODES:
        running = nodes.is_running(node)
        words = ["running" if running else "powered off" if nodes.is_off(node) else "dead"]
        if running and cgroups.is_frozen(node.cgroup):
            words.append("frozen")
        all_run = all_run and words == ["running"]
        print(f"{node.name:24} {', '.join(words)}; {node.zone}, {node.address}, "
              f"Pods {node.pod_cidr}")
    for line in faults.describe(faults.load()):
        print("cut: " + line)
    print(f"logs: {settings.LOGS}")
    return 0 if all_run else 1
